"""Which addresses a store may name: not this machine, not the metadata service, whatever they are written as."""

from __future__ import annotations

import typing

import msgspec
import pytest

from keyferry.api.model import convert
from keyferry.api.secret_store import SecretStoreProvider
from keyferry.core.addresses import AddressPolicy, addresses_of, host_of
from keyferry.errors import ON_CHANGE, ForbiddenError, SpecError

FORBIDDEN = [
    "127.0.0.1", "127.255.255.254", "localhost", "LOCALHOST", "localhost.", "vault.localhost", "::1", "[::1]", "0.0.0.0", "::",
    "169.254.169.254", "169.254.0.1", "169.254.170.2", "169.254.170.23", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd00:ec2::23",
    "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "metadata", "metadata.google.internal", "metadata.google.internal.",
    "Metadata.Google.Internal", "instance-data", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "[::ffff:a9fe:a9fe]", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "224.0.0.1", "255.255.255.255", "ff02::1",
    "::127.0.0.1", "::a9fe:a9fe", "::ffff:0:127.0.0.1", "[::ffff:0:a9fe:a9fe]", "64:ff9b:1::7f00:1", "64:ff9b:1:ffff::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:7f00:0:100::", "64:ff9b:1::",
]  # fmt: skip
TEREDO_OF_LOOPBACK = "2001:0:4136:e378:8000:63bf:80ff:fffe"
ALLOWED = ["vault.example.com", "10.0.0.1", "192.168.1.1", "172.16.0.1", "8.8.8.8", "2001:db8::1", "fd12:3456::1", "localhost.example.com",
           "metadata.example.com", "notlocalhost", "64:ff9b::808:808", "127.0.0.1.example.com", "",
           "::8.8.8.8", "::2", "::ffff:0:8.8.8.8", "64:ff9b:1::808:808", "64:ff9b:1:808:8:800::", "64:ff9b:2::7f00:1"]  # fmt: skip


@pytest.mark.parametrize("host", [*FORBIDDEN, TEREDO_OF_LOOPBACK])
def test_host_that_stores_may_not_name_is_refused(host):
    with pytest.raises(ForbiddenError) as caught:
        AddressPolicy().check_host(host, "spec.provider.vault.server")

    assert caught.value.message.startswith(f'spec.provider.vault.server: "{host}" is ')
    assert caught.value.retry == ON_CHANGE


@pytest.mark.parametrize("host", ALLOWED)
def test_other_hosts_pass(host):
    AddressPolicy().check_host(host, "spec.provider.vault.server")


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.0/8", "127.0.0.2"),
        ("127.0.0.1/8", "127.0.0.2"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("127.0.0.0/8", "::127.0.0.1"),
        ("::1", "[::1]"),
        ("Localhost.", "localhost"),
        ("169.254.169.254", "169.254.169.254"),
        ("metadata.google.internal", "metadata.google.internal"),
    ],
)
def test_owner_of_the_platform_may_allow_it(allowed, host):
    AddressPolicy([allowed]).check_host(host, "x")


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("127.0.0.1", "127.0.0.2"),
        ("127.0.0.1", "localhost"),
        ("localhost", "127.0.0.1"),
        ("::1", "127.0.0.1"),
        ("::1", "::127.0.0.1"),
        ("0.0.0.0/0", "::1"),
    ],
)
def test_what_is_allowed_allows_nothing_else(allowed, host):
    with pytest.raises(ForbiddenError):
        AddressPolicy([allowed]).check_host(host, "x")


@pytest.mark.parametrize(
    "resolved", [["127.0.0.1"], ["8.8.8.8", "169.254.169.254"], ["fe80::1%2"], ["::ffff:127.0.0.1"]]
)
def test_name_that_resolves_to_a_forbidden_address_is_refused(resolved):
    """Also names that are numbers in disguise, such as 2130706433: they are no address until resolved."""
    with pytest.raises(ForbiddenError) as caught:
        AddressPolicy().check_resolved(resolved, "vault.example.com", "spec.provider.vault.server")

    assert '"vault.example.com" is ' in caught.value.message


@pytest.mark.parametrize("resolved", [[], ["8.8.8.8", "2001:db8::1"], ["no address"]])
def test_name_that_resolves_to_other_addresses_passes(resolved):
    AddressPolicy().check_resolved(resolved, "vault.example.com", "x")


def test_name_that_is_allowed_may_resolve_to_anything():
    AddressPolicy(["Vault.local."]).check_resolved(["127.0.0.1"], "vault.local", "x")


# -- addresses in a store


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://vault.example.com:8200/v1", "vault.example.com"),
        ("vault.example.com", "vault.example.com"),
        ("vault.example.com:8200", "vault.example.com"),
        ("https://user:pw@169.254.169.254/", "169.254.169.254"),
        ("https://good.example.com@127.0.0.1/", "127.0.0.1"),
        ("http://[::1]:8200", "::1"),
        ("https://HOST/", "host"),
        ("http://{{a}}@169.254.169.254/", "169.254.169.254"),
        ("{{a}}@127.0.0.1", "127.0.0.1"),
        ("127.0.0.1/?next=http://example.com", "127.0.0.1"),
        ("127.0.0.1#://example.com", "127.0.0.1"),
        ("https://127.0.0.1?x@example.com", "127.0.0.1"),
        ("https://host:/", "host"),
        ("[::1]:8200", "::1"),
    ],
)
def test_host_of_an_address_is_read(address, host):
    """Braces are no template here, and hide nothing."""
    assert host_of(address, "x") == host


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://{{ .remoteRef.key }}.example.com/x", ""),
        ("{{ .url }}", ""),
        ("https://example.com/{{ .remoteRef.key }}", "example.com"),
        ("https://example.com/?q={{ .remoteRef.key }}", "example.com"),
        ("http://127.0.0.1?{{ .remoteRef.key }}", "127.0.0.1"),
        ("http://127.0.0.1#{{x}}", "127.0.0.1"),
        ("127.0.0.1?{{x}}", "127.0.0.1"),
        ("{{x}}://127.0.0.1/", "127.0.0.1"),
        ("http{{ if .tls }}s{{ end }}://127.0.0.1:8080/{{x}}", "127.0.0.1"),
        ('{{ "http://" }}127.0.0.1', ""),
        ("{{ .url }}/x?y=http://example.com", ""),
        ("http://127.0.0.1{{x}}/", ""),
        ("http://{{ .never.closed /", ""),
    ],
)
def test_host_that_a_template_makes_is_not_known_yet(address, host):
    assert host_of(address, "x", templated=True) == host


@pytest.mark.parametrize(
    "address",
    [
        "https://",
        "https:///path",
        "http://[::1",
        "https://[bad]/",
        "",
        "/path",
        "//host/x",
        "https://good.example.com\\@127.0.0.1/",
        "https://127.0.0.1\\.example.com/",
        "http:127.0.0.1",
        "http:/127.0.0.1",
        "http:\\\\127.0.0.1",
        "http:2130706433",
        "https://host:http/",
        "://127.0.0.1",
        "http ://127.0.0.1",
        "http://127.0.0.1\0/",
    ],
)
@pytest.mark.parametrize("templated", [False, True], ids=["text", "template"])
def test_address_that_cannot_be_read_is_refused_by_field(address, templated):
    with pytest.raises(SpecError, match=r"^spec\.x "):
        host_of(address, "spec.x", templated=templated)


@pytest.mark.parametrize("address", ["{{x}}://127.0.0.1/", "{{x}}:127.0.0.1"])
def test_braces_are_no_scheme_where_there_are_no_templates(address):
    with pytest.raises(SpecError):
        host_of(address, "spec.x")


def _block(provider, **fields):
    return convert({provider: fields}, SecretStoreProvider).chosen()[1]


@pytest.mark.parametrize(
    ("provider", "fields", "expected"),
    [
        ("vault", {"server": "http://v:8200"}, [("spec.provider.vault.server", "v")]),
        ("webhook", {"url": "https://{{ .x }}/", "result": {}}, []),
        ("vault", {"server": "http://{{a}}@127.0.0.1"}, [("spec.provider.vault.server", "127.0.0.1")]),
        ("fake", {"data": []}, []),
        ("gitlab", {"auth": {"SecretRef": {"accessToken": {}}}, "url": ""}, []),
        ("aws", {"service": "SecretsManager", "region": "eu-central-1"}, []),
        (
            "azurekv",
            {
                "vaultUrl": "https://kv/",
                "customCloudConfig": {
                    "activeDirectoryEndpoint": "https://ad/",
                    "keyVaultEndpoint": "https://kve/",
                },
            },
            [
                ("spec.provider.azurekv.vaultUrl", "kv"),
                ("spec.provider.azurekv.customCloudConfig.activeDirectoryEndpoint", "ad"),
                ("spec.provider.azurekv.customCloudConfig.keyVaultEndpoint", "kve"),
            ],
        ),
    ],
)
def test_addresses_of_a_store_are_found_with_their_fields(provider, fields, expected):
    assert addresses_of(provider, _block(provider, **fields)) == expected


def test_untyped_store_has_no_address_that_we_know():
    assert addresses_of("doppler", {"url": "http://127.0.0.1"}) == []


def _structs(hint):
    return [
        o for o in (hint, *typing.get_args(hint)) if isinstance(o, type) and issubclass(o, msgspec.Struct)
    ]


def _fields(model, path=()):
    """The text fields of a model, at any depth, each as pairs of its name in Python and on the wire."""
    hints = typing.get_type_hints(model)
    for name, wire in zip(model.__struct_fields__, model.__struct_encode_fields__, strict=True):
        here = (*path, (name, wire))
        for inner in _structs(hints[name]):
            yield from _fields(inner, here)
        if str in (hints[name], *typing.get_args(hints[name])):
            yield here


def _set(model, path):
    """An object in which the field at this path is an address, made without validation."""
    (name, _), *rest = path
    required = dict.fromkeys(f.name for f in msgspec.structs.fields(model) if f.required)
    inner = _structs(typing.get_type_hints(model)[name])
    return model(**required | {name: _set(inner[0], rest) if rest else "https://127.0.0.1/"})


HINTS = typing.get_type_hints(SecretStoreProvider)
PROVIDERS = {
    wire: _structs(HINTS[name])[0]
    for name, wire in zip(
        SecretStoreProvider.__struct_fields__, SecretStoreProvider.__struct_encode_fields__, strict=True
    )
    if _structs(HINTS[name])
}
ADDRESSES = [
    (provider, path)
    for provider, model in PROVIDERS.items()
    for path in _fields(model)
    if path[-1][1].lower().endswith(("url", "server", "endpoint", "host", "address"))
]


@pytest.mark.parametrize(
    ("provider", "path"), ADDRESSES, ids=[f"{p}.{'.'.join(w for _, w in path)}" for p, path in ADDRESSES]
)
def test_no_field_that_holds_an_address_is_forgotten(provider, path):
    """By its name; a field that only sounds like an address belongs into an exception here."""
    field = ".".join(("spec.provider", provider, *(wire for _, wire in path)))

    assert addresses_of(provider, _set(PROVIDERS[provider], path)) == [(field, "127.0.0.1")]


def test_there_are_fields_to_look_at():
    assert len(ADDRESSES) >= 8
