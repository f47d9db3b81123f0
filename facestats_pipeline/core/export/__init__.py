"""A collection in the layouts that other libraries read: Hugging Face datasets, FiftyOne, WebDataset, CSV with pictures."""
