"""The import root is named operator/, as a module of the standard library is: guarded here."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import keyferry

PACKAGE = Path(keyferry.__file__).parent
ROOT = PACKAGE.parent.parent
IMPORT_ANEW = "import sys; sys.modules.pop('operator', None); import operator; print(operator.__file__)"


def test_import_root_is_no_package():
    assert PACKAGE.parent.name == "operator"
    assert not (PACKAGE.parent / "__init__.py").exists()


def test_operator_is_the_standard_librarys_from_the_repositorys_root():
    printed = subprocess.run(
        [sys.executable, "-c", IMPORT_ANEW], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    assert Path(printed.strip()).parent == Path(sysconfig.get_path("stdlib"))


def test_check_of_the_import_sees_a_package_in_the_way(tmp_path):
    (tmp_path / "operator").mkdir()
    (tmp_path / "operator/__init__.py").touch()

    printed = subprocess.run(
        [sys.executable, "-c", IMPORT_ANEW], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout

    assert Path(printed.strip()) == tmp_path / "operator/__init__.py"


def test_types_ship_with_the_package_and_nothing_else_does(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()

    assert "keyferry/py.typed" in names
    assert "keyferry/secretdata.py" in names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"keyferry"}
    assert not [name for name in names if name.endswith((".pyc", ".key", ".pem", ".db"))]
