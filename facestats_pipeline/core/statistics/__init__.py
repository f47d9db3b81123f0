"""Statistics that several stages use: calibration, bootstrap intervals, folds."""
