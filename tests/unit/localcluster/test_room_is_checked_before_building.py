"""Free disk and memory are asked for before, and what lacks is told with its size."""

from pathlib import Path

import pytest

from keyferry.localcluster import LocalClusterError, resources
from keyferry.localcluster.resources import GIB, DiskNeed, available_memory, check_disk, parallel_jobs


def test_enough_room_is_silent(tmp_path):
    check_disk([DiskNeed(tmp_path, GIB, "programs")], free=lambda _: GIB)


def test_needs_on_one_disk_add_up(tmp_path):
    needs = [
        DiskNeed(tmp_path / "not" / "there" / "yet", 2 * GIB, "sources"),
        DiskNeed(tmp_path, 3 * GIB, "programs"),
    ]

    with pytest.raises(LocalClusterError) as caught:
        check_disk(needs, free=lambda _: 4 * GIB)

    assert caught.value.message == (
        f'building the control plane needs 5.0 GiB on the disk of "{tmp_path}" '
        "(sources 2.0 GiB, programs 3.0 GiB), and 4.0 GiB are free"
    )
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_the_systems_own_answer_is_asked_by_default(tmp_path):
    check_disk([DiskNeed(tmp_path, 1, "a byte")])

    with pytest.raises(LocalClusterError):
        check_disk([DiskNeed(tmp_path, 1 << 62, "more than any disk has")])


@pytest.mark.parametrize(
    ("memory", "cores", "expected"),
    [
        pytest.param(2 * GIB, 8, 1, id="just-one"),
        pytest.param(3 * GIB, 8, 2, id="one-more"),
        pytest.param(64 * GIB, 8, 8, id="as-many-as-cores"),
        pytest.param(64 * GIB, 1, 1, id="one-core"),
    ],
)
def test_as_many_compilers_as_fit(memory, cores, expected):
    assert parallel_jobs(memory, cores, base=2 * GIB, each=GIB) == expected


def test_too_little_memory_is_told_with_its_size():
    with pytest.raises(LocalClusterError) as caught:
        parallel_jobs(GIB, 2, base=2 * GIB, each=GIB)

    assert caught.value.message == (
        "building the control plane needs 2.0 GiB of memory, and 1.0 GiB are available"
    )


@pytest.mark.parametrize(
    ("limit", "bounded"),
    [pytest.param("1048576\n", True, id="limit"), pytest.param("max\n", False, id="none")],
)
def test_containers_limit_bounds_the_memory(tmp_path: Path, monkeypatch, limit, bounded):
    file = tmp_path / "memory.max"
    file.write_text(limit)
    monkeypatch.setattr(resources, "CGROUP_LIMITS", (file, tmp_path / "missing"))

    assert (available_memory() == 1048576) == bounded
