"""Encoders: weights, checksums, devices, input, and embedding photos with them."""
