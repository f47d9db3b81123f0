"""Inputs of every model training: the provenance of its targets, and targets joined to embeddings."""
