"""Training: the problem as arrays, class-balanced triplets, and one stage of fitting."""
