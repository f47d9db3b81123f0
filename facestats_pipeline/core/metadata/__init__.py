"""The metadata tables, one module each, up to master; hand labels and the label queue."""
