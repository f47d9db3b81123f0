"""Training of your own encoder: an on-demand asset."""
