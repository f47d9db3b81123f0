"""Composites: average faces of groups, eigenfaces, comparisons and morphs."""
