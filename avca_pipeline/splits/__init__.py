"""Splits: which clip is in which partition, and proof that nothing leaks between them."""
