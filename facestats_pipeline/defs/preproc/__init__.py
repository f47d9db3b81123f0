"""Preprocessed photos, and what is measured on them."""
