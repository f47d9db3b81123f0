"""Drawing for people: palette, text layout, figure style, contact sheets, previews."""

PICTURE_QUALITY = 95
"""JPEG quality of every picture that is written for people: composites, sheets, search results."""
