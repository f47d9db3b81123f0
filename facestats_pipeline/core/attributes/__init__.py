"""Attributes of faces: the catalogue, trained probes on embeddings with calibration and abstention, and zero-shot."""
