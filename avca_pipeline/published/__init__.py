"""The benchmark as its authors publish it: lists of classes and clips, and folders of features.

Only here, and in what is read or written here, do the published names occur (``stage_1_train``,
``w2v_features``, …); everywhere else a clip is in one of our five partitions.
"""
