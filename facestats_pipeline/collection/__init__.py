"""The public Python API on a data folder: run, read, score, search, composite, export, lineage, erase, label.

`collection.py` has the class `Collection`. Each other module implements one operation, which the command of the same name presents.
"""
