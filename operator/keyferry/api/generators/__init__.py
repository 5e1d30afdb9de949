"""The kinds of the group generators.external-secrets.io: their wire format, nothing of how they work.

One file per family; `kinds.py` lists all of them, and which of them can be used in this version.
"""
