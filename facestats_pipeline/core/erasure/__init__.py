"""Erasure of an image from a collection: keyed digests, tombstones, and rewriting files without its rows."""
