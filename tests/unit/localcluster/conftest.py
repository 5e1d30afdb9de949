"""A cache and a PATH of the test's own, and scripts that stand for programs of others."""

import os
import stat

import pytest

from keyferry.localcluster import pins
from keyferry.localcluster.cache import cache_folder


class Recorder:
    """Progress that remembers."""

    def __init__(self):
        self.said = []
        self.updates = []

    def say(self, text):
        self.said.append(text)

    def update(self, text):
        self.updates.append(text)


@pytest.fixture
def progress():
    return Recorder()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of localcluster in an empty user's cache."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return cache_folder()


@pytest.fixture
def script():
    """Makes an executable file with this shell text."""

    def make(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make


@pytest.fixture
def programs(script):
    """Makes a folder with all programs, whose kube-apiserver reports the version given."""

    def make(folder, version="v1.36.0"):
        for name in pins.PROGRAMS:
            script(folder / name, f"echo 'Kubernetes {version}'")
        return folder

    return make


@pytest.fixture
def only_path(monkeypatch):
    """Sets PATH to these folders and the system's own, where the scripts' shell finds its commands."""

    def use(*folders):
        monkeypatch.setenv("PATH", os.pathsep.join([*map(str, folders), "/usr/bin", "/bin"]))

    return use
