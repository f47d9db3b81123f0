"""The attractiveness score: a regressor trained on ratings, and ranks of its scores within a reference distribution."""
