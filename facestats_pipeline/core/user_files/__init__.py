"""User files: text tables in any common form, and matching the file names in them to photos."""
