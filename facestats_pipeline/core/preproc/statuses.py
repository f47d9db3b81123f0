"""What a preprocessed photo's status says; apart from the work, so that whoever filters a table loads no image library."""

PICTURED = ("ok", "no_face")
"""Statuses of preprocessed photos that have a JPEG."""
