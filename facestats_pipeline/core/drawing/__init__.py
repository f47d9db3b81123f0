"""Drawing for people: palette, text layout, figure style, contact sheets, previews."""

PICTURE_QUALITY = 95
"""JPEG quality of composites, their sheets and search results. Contact sheets of photos are larger and have their own, lower one."""
