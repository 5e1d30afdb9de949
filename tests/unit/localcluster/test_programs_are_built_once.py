"""One process builds, others wait; the result is there at once or not at all; failures say why."""

import subprocess
import sys
import time

import pytest

from keyferry.localcluster import LocalClusterError, build, pins
from keyferry.localcluster.build import ensure_built

GO = """
case "$1" in
env) [ "$2" = GOVERSION ] && echo go1.99.0 || printf '%s\\n%s\\n' "$HOME/gocache" "$HOME/modules" ;;
list) shift $(($# - 1)); printf 'go: downloading x v1\\nstale a/b\\ndone fmt\\nstale %s\\n' "$1" ;;
build) {build} ;;
esac
"""
"""Stands for Go: tells two packages per family, one of them to be compiled."""

GO_BUILDS = """
    echo a/b >&2
    while [ $# -gt 0 ]; do
      case "$1" in
      -o) out="$2"; shift ;;
      *cmd/*) touch "$out$(basename "$1")"; chmod +x "$out$(basename "$1")" ;;
      */etcd/*) touch "$out"; chmod +x "$out" ;;
      esac
      shift
    done
"""
GO_FAILS = """
    echo a/b >&2
    echo '# k8s.io/kubernetes/pkg/x' >&2
    echo 'pkg/x/x.go:7:2: undefined: y' >&2
    exit 1
"""


def make_programs(folder):
    for name in pins.PROGRAMS:
        (folder / name).write_text("program")
        (folder / name).chmod(0o755)


BUILDER = """
import pathlib, sys, time
from keyferry.localcluster import build, pins

log, release = map(pathlib.Path, sys.argv[1:])

class Log:
    def say(self, text):
        with log.open("a") as file:
            file.write(text + "\\n")
    def update(self, text):
        pass

def builder(folder, progress):
    progress.say("building")
    while not release.exists():
        time.sleep(0.01)
    for name in pins.PROGRAMS:
        (folder / name).touch(mode=0o755)

build.ensure_built(Log(), builder)
"""
"""What each of two processes does: build, until it is released, and say so."""


def wait_for(log, text):
    deadline = time.monotonic() + 20
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < deadline, f"{text!r} did not come"
        time.sleep(0.01)


def test_two_processes_build_once_and_one_says_what_it_waits_for(tmp_path, cache):
    log, release = tmp_path / "log", tmp_path / "release"
    command = [sys.executable, "-c", BUILDER, str(log), str(release)]
    with subprocess.Popen(command) as first:
        wait_for(log, "building")
        with subprocess.Popen(command) as second:
            wait_for(log, "waiting for it")
            release.touch()

    assert log.read_text().splitlines() == [
        "building",
        f"Another process ({first.pid}) builds the control plane: waiting for it",
    ]
    assert (first.returncode, second.returncode) == (0, 0)
    assert build.is_complete(build.built_folder())


def test_built_programs_are_not_built_again(cache, progress):
    ensure_built(progress, lambda folder, _: make_programs(folder))

    def never(folder, progress):
        raise AssertionError("built again")

    assert ensure_built(progress, never) == build.built_folder()


def test_failed_build_leaves_nothing_that_looks_built(cache, progress):
    def fails(folder, _):
        (folder / "etcd").write_text("half")
        raise LocalClusterError("no")

    with pytest.raises(LocalClusterError):
        ensure_built(progress, fails)

    assert [path.name for path in cache.iterdir()] == ["build.lock"]


def test_build_that_lacks_a_program_fails(cache, progress):
    def forgets(folder, _):
        make_programs(folder)
        (folder / "kubectl").unlink()

    with pytest.raises(LocalClusterError) as caught:
        ensure_built(progress, forgets)

    assert caught.value.message == "the build did not make kubectl"


def test_damaged_cache_is_built_again(cache, progress):
    folder = ensure_built(progress, lambda folder, _: make_programs(folder))
    (folder / "etcd").unlink()

    ensure_built(progress, lambda folder, _: make_programs(folder))

    assert build.is_complete(folder)


def test_what_a_killed_build_left_is_removed(cache, progress):
    (cache / "bin-0.partial" / "bin").mkdir(parents=True)

    ensure_built(progress, lambda folder, _: make_programs(folder))

    assert not (cache / "bin-0.partial").exists()


@pytest.fixture
def go(tmp_path, cache, script, only_path):
    """Puts a stand-in for Go into PATH that builds in this way."""

    def use(how):
        script(tmp_path / "go" / "go", GO.replace("{build}", how))
        only_path(tmp_path / "go")

    return use


def test_build_runs_go_and_tells_how_far_it_is(go, cache, progress):
    go(GO_BUILDS)

    folder = ensure_built(progress)

    assert build.is_complete(folder)
    assert progress.said[0] == (
        "Building the control plane's programs from source, once: etcd 3.6.8 and Kubernetes 1.36.3"
    )
    assert progress.said[1].startswith("Compiling with Go 1.99.0, ")
    assert progress.said[2].endswith(f"into {folder}")
    assert "etcd: fetching sources, 1 modules, 0:00 so far" in progress.updates
    assert any(text.startswith("Kubernetes: linking, 0:00 so far, about ") for text in progress.updates)
    assert sorted(path.name for path in cache.iterdir()) == [folder.name, "build.lock"]


def test_failing_compiler_is_told_with_its_last_words(go, progress):
    go(GO_FAILS)

    with pytest.raises(LocalClusterError) as caught:
        ensure_built(progress)

    assert caught.value.message == "building etcd v3.6.8 failed (go build)"
    assert caught.value.details == ("# k8s.io/kubernetes/pkg/x", "pkg/x/x.go:7:2: undefined: y")
