"""Preprocessed photos and the measurements on them."""
