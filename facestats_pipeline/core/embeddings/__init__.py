"""What is done with embeddings: their table, the index, search, near-duplicates."""
