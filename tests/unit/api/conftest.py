"""Sample manifests, written by hand against the public API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture(scope="session")
def samples() -> list[dict[str, Any]]:
    return [
        manifest
        for file in sorted(SAMPLES.glob("*.yaml"))
        for manifest in yaml.safe_load_all(file.read_text("utf-8"))
    ]
