"""The provider blocks of a store, one file each: their wire format, nothing of how they work.

Which of them can be used is said by the registry of the providers, not here.
"""
