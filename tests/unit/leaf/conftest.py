"""Settings for the tests of the leaf modules."""

from __future__ import annotations
