"""Which photos there are: inventory, manifest, the sensor on the raw folder."""
