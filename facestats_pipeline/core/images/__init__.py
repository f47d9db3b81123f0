"""Reading picture files: safely, upright, in RGB, at a useful size."""
