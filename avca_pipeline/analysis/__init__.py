"""From the predictions of runs to what they mean: confusions, the curve over biases, comparisons.

Everything follows from ``predictions.csv`` and is computed in NumPy; nothing here is drawn or put
into words.
"""
