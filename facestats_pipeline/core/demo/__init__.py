"""Synthetic faces with known truth."""
