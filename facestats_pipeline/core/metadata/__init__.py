"""The metadata tables, one function each, up to master."""
