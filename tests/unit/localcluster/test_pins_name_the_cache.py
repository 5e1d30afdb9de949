"""Versions live in the go.mod files alone, and a change there never uses an old build."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from keyferry.localcluster import pins
from keyferry.localcluster.cache import cache_folder


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The pins over a copy of the go.mod files, which a test may change."""
    families = []
    for family in pins.FAMILIES:
        folder = Path(shutil.copytree(family.folder, tmp_path / family.name))
        families.append(dataclasses.replace(family, folder=folder))
    monkeypatch.setattr(pins, "FAMILIES", tuple(families))
    return tmp_path


def test_every_program_is_built_by_one_family():
    assert sorted(name for family in pins.FAMILIES for name in family.packages) == sorted(pins.PROGRAMS)


def test_programs_report_the_version_of_go_mod():
    """Unstamped they report v0.0.0, which charts and clients refuse."""
    etcd, kubernetes = pins.FAMILIES

    assert etcd.ldflags == "-s -w"
    assert kubernetes.version == "v1.36.3"
    for stamp in ("gitVersion=v1.36.3", "gitMajor=1", "gitMinor=36"):
        assert f"-X k8s.io/component-base/version.{stamp}" in kubernetes.ldflags


def test_staging_modules_are_of_the_same_release_as_kubernetes():
    text = (pins.FAMILIES[1].folder / "go.mod").read_text()

    assert set(re.findall(r"^\tk8s\.io/\S+ => k8s\.io/\S+ (v\S+)$", text, re.MULTILINE)) == {"v0.36.3"}


def test_fingerprint_is_stable(copied):
    before = pins.fingerprint()

    assert pins.fingerprint() == before
    assert re.fullmatch("[0-9a-f]{16}", before)


@pytest.mark.parametrize("file", ["etcd/go.mod", "etcd/go.sum", "Kubernetes/go.mod", "Kubernetes/go.sum"])
def test_fingerprint_changes_with_every_pin(copied, file):
    before = pins.fingerprint()
    with (copied / file).open("a") as pinned:
        pinned.write("\n")

    assert pins.fingerprint() != before


def test_go_package_is_locked_for_every_platform():
    """Two systems, two architectures; pip refuses what has no hash here."""
    hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}", pins.GO_REQUIREMENTS.read_text())

    assert len(hashes) >= 4


@pytest.mark.parametrize(
    ("platform", "xdg", "expected"),
    [
        pytest.param("linux", "", "home/.cache/keyferry/localcluster", id="linux"),
        pytest.param("linux", "{}/xdg", "xdg/keyferry/localcluster", id="linux-xdg"),
        pytest.param("linux", "relative", "home/.cache/keyferry/localcluster", id="linux-xdg-invalid"),
        pytest.param("darwin", "", "home/Library/Caches/keyferry/localcluster", id="macos"),
    ],
)
def test_cache_is_where_the_platform_wants_it(tmp_path, monkeypatch, platform, xdg, expected):
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", xdg.format(tmp_path))

    assert cache_folder() == tmp_path / expected
    assert cache_folder().is_dir()


def test_helm_is_built_apart_and_reports_its_version():
    """A change of its pin must not build a control plane anew, and the other way round."""
    helm = pins.helm()

    assert helm.programs == ("helm",)
    assert helm.families[0].ldflags.endswith(f"/internal/version.version={helm.families[0].version}")
    assert helm.fingerprint() != pins.fingerprint()
    assert "helm" not in pins.PROGRAMS


def test_vault_is_built_apart_with_its_plugins():
    """They lie beside it: Vault runs what a folder holds, and knows it by its name."""
    vault = pins.vault()

    assert vault.programs == ("vault", "vault-plugin-auth-kubernetes", "postgresql-database-plugin")
    assert vault.families[0].tags == ("minimal",)
    assert vault.fingerprint() not in {pins.fingerprint(), pins.helm().fingerprint()}
    assert not set(vault.programs) & set(pins.PROGRAMS)


def test_build_tags_name_the_cache():
    family = pins.VAULT
    other = dataclasses.replace(family, tags=())

    assert dataclasses.replace(pins.vault(), families=(other,)).fingerprint() != pins.vault().fingerprint()
