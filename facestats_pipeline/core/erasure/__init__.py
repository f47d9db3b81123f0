"""Taking one image out of a collection: digests, tombstones, and files without its rows."""
