"""Checks that no score is measured on anything that the model was trained on.

`split_checks` look at a split alone, `data_checks` at the files, features and text embeddings of
its clips. Each check is a function with the decorator of `checks`: its name is the key in the
config and in the audit, its docstring is what the audit says about it, and its default level
stands beside it. `levels` makes the settings from them.
"""
