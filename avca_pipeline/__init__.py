"""Audio-visual zero-shot learning from raw video to a benchmark table."""

__version__ = "0.1.0"
