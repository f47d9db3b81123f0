"""The metadata tables, up to master."""
