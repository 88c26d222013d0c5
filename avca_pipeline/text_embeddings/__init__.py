"""Plugins: a vector for each class name.

A text embedding is one file here with

``Settings``
    a `PluginSettings`;
``inputs(settings) -> list[Path]``
    the files it reads;
``vectors(settings, class_names) -> np.ndarray``
    ``(classes, dim)`` float32, one row for each name in the order given;
``describe(settings) -> str``
    where the vectors come from, in words for the report.
"""
