"""The models are loaded by every process: they load nothing that only the generator needs."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("unwanted", ["yaml", "asyncio", "logging", "keyferry.api.openapi"])
def test_reading_objects_does_not_load(unwanted):
    program = (
        "import sys, keyferry.api.external_secret, keyferry.api.secret_store, keyferry.api.references\n"
        f"sys.exit({unwanted!r} in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
