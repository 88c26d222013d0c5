"""What has to be made anew: compares what is there with the config, the files it names, the media.

Dates decide nothing. A result is up to date if its record (`avca_pipeline.artifacts.records`)
states the recipe that follows from the config, and the inputs that are there.
"""
