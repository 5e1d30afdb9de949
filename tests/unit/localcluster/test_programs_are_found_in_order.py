"""KUBEBUILDER_ASSETS, PATH, the cache, a build: in this order, and never a mix of folders."""

import pytest

from keyferry.localcluster import binaries, build, pins


def obtain(progress, **environment):
    return binaries.obtain(progress, environment)


@pytest.fixture
def cached(cache, programs):
    return programs(build.built_folder())


def test_named_folder_comes_first(tmp_path, cached, programs, progress):
    assets, in_path = programs(tmp_path / "assets"), programs(tmp_path / "bin")

    actual = obtain(progress, KUBEBUILDER_ASSETS=str(assets), PATH=str(in_path))

    assert actual == assets
    assert progress.said == []


def test_path_comes_before_the_cache(tmp_path, cached, programs, progress):
    in_path = programs(tmp_path / "bin")

    assert obtain(progress, PATH=f"{tmp_path}:{in_path}") == in_path


def test_cache_comes_before_a_build(cached, progress):
    assert obtain(progress, PATH="") == cached


def test_named_folder_that_lacks_a_program_is_passed_over_and_told(tmp_path, cached, programs, progress):
    """The folders that other tools fill have no kube-controller-manager."""
    assets = programs(tmp_path / "assets")
    (assets / "kube-controller-manager").unlink()

    actual = obtain(progress, KUBEBUILDER_ASSETS=str(assets))

    assert actual == cached
    assert progress.said == [f"Passing over KUBEBUILDER_ASSETS={assets}: it has no kube-controller-manager"]


def test_path_that_lacks_a_program_is_passed_over(tmp_path, cached, programs, progress):
    in_path = programs(tmp_path / "bin")
    (in_path / "etcd").unlink()

    assert obtain(progress, PATH=str(in_path)) == cached


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        pytest.param("v1.29.4", "its kube-apiserver is 1.29, and 1.30 or newer is needed", id="too-old"),
        pytest.param("is broken", "its kube-apiserver does not run", id="broken"),
        pytest.param("v1.30.0", None, id="just-new-enough"),
    ],
)
def test_old_programs_are_passed_over(tmp_path, programs, version, reason):
    assert binaries.lacking(programs(tmp_path, version)) == reason


def test_helm_is_taken_from_the_named_folder_or_the_cache(tmp_path, cache, script, progress):
    kit = build.built_folder(pins.helm())
    assets = tmp_path / "assets"
    assets.mkdir()
    script(kit / "helm", "")

    without = binaries.obtain_helm(progress, {"KUBEBUILDER_ASSETS": str(assets)})
    script(assets / "helm", "")
    with_it = binaries.obtain_helm(progress, {"KUBEBUILDER_ASSETS": str(assets)})

    assert (without, with_it) == (kit / "helm", assets / "helm")


def test_vault_is_taken_from_the_named_folder_or_the_cache(tmp_path, cache, script, progress):
    kit = build.built_folder(pins.vault())
    assets = tmp_path / "assets"
    assets.mkdir()
    for program in pins.vault().programs:
        script(kit / program, "")

    without = binaries.obtain_vault(progress, {"KUBEBUILDER_ASSETS": str(assets)})
    for program in pins.vault().programs:
        script(assets / program, "")
    with_it = binaries.obtain_vault(progress, {"KUBEBUILDER_ASSETS": str(assets)})

    assert (without, with_it) == (kit, assets)
