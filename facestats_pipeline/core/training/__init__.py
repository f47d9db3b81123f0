"""What every training of a model asks for first: where its targets come from, and the embeddings that they are about."""
