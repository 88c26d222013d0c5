"""Using what was trained: a run's folder or a bundle classifies videos among any class names.

`class_vectors` embeds names, `trained_network` builds a network from a checkpoint, `run_folder`
collects from a folder of results what a `Bundle` holds, `training_free` does so for a method
without training, `video_features` encodes videos, `stretches` cuts them over time and `parts` is
what is then classified: videos or stretches. `distances` measures, `classifier` puts all this
together, `predictions` holds the answers, and `card` describes a bundle.
"""
