"""Erasing images from a data folder: who was erased, where an image can be, and how it is taken out."""
