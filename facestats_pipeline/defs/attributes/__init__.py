"""Probes for gender, ethnicity and age, and what they say of each image."""
