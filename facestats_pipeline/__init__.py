"""FaceStats: a folder of face photos to embeddings, attributes, scores, tables, composites and reports."""
