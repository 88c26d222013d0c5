"""Plugins: where clips come from.

A dataset is one file here with

``Settings``
    a `PluginSettings` with whatever the dataset needs to know;
``inputs(settings) -> list[Path]``
    the files and folders whose change makes the manifest stale;
``clips(settings) -> list[Clip]``
    every labelled clip, without touching its media;
``locate(settings, clip, folder) -> Path``
    the clip's media on this machine, made or downloaded into ``folder`` where it is not here yet.
    Raises `avca_pipeline.media.MediaError` with a reason where there is none.

A dataset whose clips are downloaded with yt-dlp has a setting ``download: bool`` and

``download(settings, clip, folder, network)``
    puts a clip that `locate` does not find to where it does.
"""
