"""Average faces and eigenfaces."""
