"""Labels and ratings that people give: reading their files, vocabularies and published data sets."""
