"""Embeddings, the search index, near-duplicates."""
