"""Ingest: user files, the inventory of photos, the manifest."""
