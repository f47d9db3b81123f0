"""Preprocessing of photos: face detection, alignment, quality measures and face geometry."""
