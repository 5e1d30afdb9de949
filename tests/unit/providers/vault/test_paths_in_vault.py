"""Where a key is in Vault's API: the forms that manifests write all lead to the same place, and nowhere else."""

from __future__ import annotations

import pytest

from keyferry.errors import SpecError
from keyferry.providers.vault.connection import wire_path
from keyferry.providers.vault.paths import folder_of, place_of


@pytest.mark.parametrize(
    ("key", "path", "version", "value", "canonical"),
    [
        ("app/db", "secret", "v2", "secret/data/app/db", "secret/app/db"),
        ("secret/app/db", "secret", "v2", "secret/data/app/db", "secret/app/db"),
        ("secret/data/app/db", "secret", "v2", "secret/data/app/db", "secret/app/db"),
        ("/app/db", "/secret/", "v2", "secret/data/app/db", "secret/app/db"),
        ("app//db/", "secret", "v2", "secret/data/app/db", "secret/app/db"),
        ("data/app", "secret", "v2", "secret/data/data/app", "secret/data/app"),
        ("secret", "secret", "v2", "secret/data/secret", "secret/secret"),
        ("secret/data", "secret", "v2", "secret/data/data", "secret/data"),
        ("secrets/x", "secret", "v2", "secret/data/secrets/x", "secret/secrets/x"),
        ("team/kv/app", "team/kv", "v2", "team/kv/data/app", "team/kv/app"),
        ("app/db", "secret", "v1", "secret/app/db", "secret/app/db"),
        ("secret/data/app", "secret", "v1", "secret/data/app", "secret/data/app"),
        ("secret/app/db", None, "v2", "secret/data/app/db", "secret/app/db"),
        ("secret/data/app", None, "v2", "secret/data/app", "secret/app"),
        ("team/kv/data/app", None, "v2", "team/kv/data/app", "team/kv/app"),
        ("secret/app/data", None, "v2", "secret/data/app/data", "secret/app/data"),
        ("secret/app", None, "v1", "secret/app", "secret/app"),
        ("über/ключ", "secret", "v2", "secret/data/über/ключ", "secret/über/ключ"),
    ],
)
def test_key_leads_to_its_place(key, path, version, value, canonical):
    place = place_of(key, path, versioned=version == "v2")

    assert (value, canonical) == (place.value, place.canonical)


def test_metadata_is_beside_the_value():
    assert "team/kv/metadata/app/db" == place_of("app/db", "team/kv", versioned=True).metadata
    assert "kv/app/db" == place_of("app/db", "kv", versioned=False).metadata


@pytest.mark.parametrize("key", ["", "/", "..", "a/../b", "./a", "a/.", "a\nb", "a\x00b", "a\u202eb"])
@pytest.mark.parametrize("path", ["secret", None])
def test_key_that_leads_elsewhere_is_refused(key, path):
    with pytest.raises(SpecError):
        place_of(key, path, versioned=True)


@pytest.mark.parametrize("key", ["auth/token/lookup-self", "sys/mounts", "identity/oidc/x", "cubbyhole/a"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_store_without_a_path_shows_nothing_of_vault_itself(key, version):
    """By `auth/token/lookup-self` everybody who may use the store would read its token."""
    with pytest.raises(SpecError, match="no secrets engine"):
        place_of(key, None, versioned=version == "v2")


def test_store_without_a_path_needs_a_mount_in_the_key():
    with pytest.raises(SpecError, match="names no secret"):
        place_of("app", None, versioned=True)


@pytest.mark.parametrize(
    ("folder", "path", "metadata"),
    [
        ("", "secret", "secret/metadata"),
        ("/", "secret", "secret/metadata"),
        ("app", "secret", "secret/metadata/app"),
        ("app/", "secret", "secret/metadata/app"),
        ("secret", "secret", "secret/metadata"),
        ("secret/app", "secret", "secret/metadata/app"),
        ("secret", None, "secret/metadata"),
        ("secret/app", None, "secret/metadata/app"),
    ],
)
def test_folder_leads_to_its_list(folder, path, metadata):
    assert metadata == folder_of(folder, path, versioned=True).metadata


@pytest.mark.parametrize("folder", ["", "sys", "auth", ".."])
def test_search_without_a_mount_is_refused(folder):
    with pytest.raises(SpecError):
        folder_of(folder, None, versioned=True)


@pytest.mark.parametrize(
    ("path", "wire"),
    [
        ("team/data/db", "team/data/db"),
        ("/team/data/db/", "team/data/db"),
        ("team/a b", "team/a%20b"),
        ("team/50%", "team/50%25"),
        ("team/%2e%2e/x", "team/%252e%252e/x"),
        ("team/a?b#c", "team/a%3Fb%23c"),
        ("team/ü", "team/%C3%BC"),
        ("team/a\\b", "team/a%5Cb"),
    ],
)
def test_path_goes_over_the_wire_as_it_is_meant(path, wire):
    assert wire == wire_path(path)


@pytest.mark.parametrize("path", ["", "a//b", "a/./b", "a/../sys/x", "..", "a/\ud800"])
def test_path_that_leads_elsewhere_goes_nowhere(path):
    with pytest.raises(SpecError):
        wire_path(path)
