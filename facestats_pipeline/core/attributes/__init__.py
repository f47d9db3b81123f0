"""Probes on embeddings for gender, ethnicity and age: training, calibration, abstention."""
