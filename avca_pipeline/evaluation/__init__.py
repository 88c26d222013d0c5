"""From a trained network to scores: embeddings, distances, calibration, accuracy."""
