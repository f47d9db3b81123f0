"""Discovery of photos: identity, inventory, manifest, and where they come from."""
