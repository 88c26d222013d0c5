"""Models of the library transformers: which families there are, where they lie, what they take.

`families` is the table of what each family takes, and `family_vectors` computes its vector.
`repositories` finds a model, in a folder or by downloading it; `model_files` reads the folder.
`loading` builds networks, processors and tokenizers from the files. `pictures` and `sound` prepare
frames and samples as the library does.
"""
