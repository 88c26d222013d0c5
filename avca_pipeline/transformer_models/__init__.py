"""Models of the library transformers: which families there are, where they lie, what they take.

`families` is the table: how each family gives its vector and wants its input. `repositories`
finds a model's files, in a folder or by downloading them. `loading` builds networks, processors and
tokenizers from the files. `pictures` and `sound` prepare frames and samples as the library does.
"""
