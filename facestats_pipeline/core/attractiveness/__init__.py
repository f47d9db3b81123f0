"""The regressor on ratings, and scores as ranks in a reference."""
