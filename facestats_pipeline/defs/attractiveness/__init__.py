"""The regressor on ratings, its reference distribution, and scores."""
