"""A kept demo is found again by its folder, and only its owner's own folders count."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyferry.cli.demo import kept
from keyferry.cli.demo.failure import DemoFailed
from keyferry.localcluster.layout import running_pid
from keyferry.localcluster.supervisor import Supervisor


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def make(folder: Path) -> kept.KeptDemo:
    folder.mkdir(mode=0o700)
    cluster = folder.parent / "keyferry-cluster-x"
    demo = kept.KeptDemo(
        folder=str(folder), cluster=str(cluster), kubeconfig=f"{cluster}/kubeconfig", kubectl="kubectl"
    )
    kept.save(demo)
    return demo


@pytest.fixture
def started(temporary: Path) -> Iterator[kept.KeptDemo]:
    """A kept demo with one program in each folder, as far as ending it is concerned."""
    demo = make(temporary / f"{kept.PREFIX}a")
    Path(demo.cluster).mkdir(mode=0o700)
    for folder in (Path(demo.folder), Path(demo.cluster)):
        keeper = Supervisor(folder, remove=True)
        keeper.start(
            "sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], folder / "sleeper.log"
        )
        keeper.detach()
    yield demo
    kept.stop(demo)


def test_the_only_running_demo_needs_no_name(started: kept.KeptDemo):
    assert kept.the_one(None) == started
    assert kept.the_one(Path(started.folder)) == started


def test_stop_ends_everything_and_removes_the_files(started: kept.KeptDemo, temporary: Path):
    kept.stop(started)

    assert running_pid(Path(started.folder)) is None
    assert list(temporary.iterdir()) == []


def test_stop_removes_the_files_of_a_demo_that_has_ended(temporary: Path):
    demo = make(temporary / f"{kept.PREFIX}ended")
    kept.stop(kept.load(Path(demo.folder)))

    assert list(temporary.iterdir()) == []


def test_demo_that_has_ended_is_not_found_without_its_name(temporary: Path):
    make(temporary / f"{kept.PREFIX}ended")

    with pytest.raises(DemoFailed, match="no demo runs"):
        kept.the_one(None)


def test_folder_that_others_can_write_to_is_not_believed(temporary: Path):
    demo = make(temporary / f"{kept.PREFIX}open")
    Path(demo.folder).chmod(0o777)

    with pytest.raises(DemoFailed, match="is not the folder of a demo of yours"):
        kept.load(Path(demo.folder))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_folder_of_somebody_else_is_not_believed(temporary: Path):
    demo = make(temporary / f"{kept.PREFIX}foreign")
    os.chown(demo.folder, 65534, 65534)

    with pytest.raises(DemoFailed, match="is not the folder of a demo of yours"):
        kept.load(Path(demo.folder))


def test_other_folders_are_no_demos(temporary: Path):
    with pytest.raises(DemoFailed, match="is not the folder of a demo of yours"):
        kept.load(temporary)
    with pytest.raises(DemoFailed, match="is not the folder of a demo of yours"):
        kept.load(temporary / "nowhere")


def test_stop_without_a_demo_says_how_to_start_one(temporary: Path):
    said = subprocess.run(
        [sys.executable, "-m", "keyferry", "demo", "stop"],
        env=os.environ | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == 1
    assert said.stderr.startswith("Error: no demo runs. Start one with: ")
    assert said.stderr.endswith("demo --keep\n")
