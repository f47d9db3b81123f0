"""Audit, cards, plots and contact sheets."""
