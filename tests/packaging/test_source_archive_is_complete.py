"""The source archive holds the repository's files, each page with what it leads to, and no strays."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?:\]\(|^\[[^\]\n]+\]:\s+)(?!https?:|#)([^)#\s]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The files of the source archive, by their path."""
    folder = tmp_path_factory.mktemp("dist")
    build = "import sys; from hatchling.build import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True, capture_output=True, timeout=60
    )
    (file,) = folder.iterdir()
    with tarfile.open(file) as tar:
        return {
            member.name.partition("/")[2]: tar.extractfile(member).read() for member in tar if member.isfile()
        }


def test_pages_lead_to_files_of_the_archive(archive):
    pages = {path: text.decode() for path, text in archive.items() if path.endswith(".md")}
    folders = {str(parent) for path in archive for parent in Path(path).parents}
    broken = [
        (page, link)
        for page, text in pages.items()
        for link in LINK.findall(text)
        if posixpath.normpath(posixpath.join(posixpath.dirname(page), link)) not in archive.keys() | folders
    ]

    assert "README.md" in pages
    assert [] == broken


@pytest.mark.parametrize("folder", ["docs", "deploy", "crds", "operator/keyferry", "requirements"])
def test_folders_are_there_whole_or_not_at_all(archive, folder):
    """A pattern without an anchor takes single files out of folders that nobody meant."""
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }

    assert there == {path for path in archive if path.startswith(f"{folder}{os.sep}")}
