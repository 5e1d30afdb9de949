"""What all contract suites share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keyferry.testing.leaks import LeakDetector


@pytest.fixture(scope="session")
def leaks() -> Iterator[LeakDetector]:
    """Finds canaries in what it is shown. What it found fails the session."""
    detector = LeakDetector()
    yield detector
    detector.check()
