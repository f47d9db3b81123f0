"""Pure functions and small classes on arrays, frames and images. No Dagster and no paths baked in."""
