"""Encoders, embeddings, and the search over them."""
