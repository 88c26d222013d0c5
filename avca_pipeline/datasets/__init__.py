"""Plugins: where clips come from.

A dataset is one file here with

``Settings``
    a `PluginSettings` with whatever the dataset needs to know;
``inputs(settings) -> list[Path]``
    the files and folders that must be there;
``clips(settings) -> list[Clip]``
    every labelled clip, without touching its media;
``locate(settings, clip, folder, max_bytes) -> Path``
    the clip's media on this machine, made or unpacked into ``folder`` where that is needed; no
    file that comes out of an archive may be larger than ``max_bytes``. Raises
    `avca_pipeline.media.MediaError` with a reason where there is none.

A dataset whose clips can be downloaded has

``download(settings, clip, folder, network)``
    puts a clip that `locate` does not find to where it does. Raises `MediaError` with a reason
    that lasts, or `avca_pipeline.errors.TransientError` with one that passes;

and, if yt-dlp is needed for that, a setting ``download: bool``.
"""
