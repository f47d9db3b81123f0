"""What can be done with a data folder: run, look, score, search, composite, export, trace, erase, label. The public Python API.

`collection.py` has the class `Collection`; each other module does one thing, which the command of the same name shows.
"""
