"""Exports of a collection in the layouts of other libraries: Hugging Face datasets, FiftyOne, WebDataset, CSV with pictures."""
