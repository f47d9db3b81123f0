"""The `facestats` command."""
