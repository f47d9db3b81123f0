"""Reports: bias audit, data cards and model cards, plots, contact sheets."""
