"""Image and text encoders: weights, checksums, devices, preprocessing, and running them over photos."""
