"""Generators that need no store: they make values out of randomness, time and what the spec says.

`registry.py` lists them. Those that ask somebody are with their provider (`providers/…/generators.py`).
"""
