"""Statistics that several stages share: calibration, bootstrap intervals, cross-validation folds."""
