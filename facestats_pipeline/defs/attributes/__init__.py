"""Probes for the attributes, and their predictions for each image."""
