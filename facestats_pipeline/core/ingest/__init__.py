"""Which photos there are: identity, inventory, manifest."""
