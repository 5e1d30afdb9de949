"""A kubeconfig in a Secret is a tenant's: its current context is used, and nothing that reaches out of the file."""

from __future__ import annotations

import base64
import copy
import json
import time
from typing import Any

import pytest
import yaml

from keyferry.errors import SpecError
from keyferry.providers.kubernetes.kubeconfig import MAX_BYTES, read_kubeconfig
from keyferry.secretdata import SecretBytes
from keyferry.testing.leaks import canary

TOKEN = canary("kubeconfig-token")
WHERE = 'Secret "team-a/login", key "config"'


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


GOOD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "contexts": [
        {"name": "there", "context": {"cluster": "there", "user": "there"}},
        {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "ignored"}},
    ],
    "clusters": [
        {"name": "there", "cluster": {"server": "https://there.example.com", "proxy-url": "http://proxy"}},
        {
            "name": "c",
            "cluster": {
                "server": "https://api.example.com:6443",
                "certificate-authority-data": encoded("CA"),
            },
        },
    ],
    "users": [
        {"name": "there", "user": {"exec": {"command": "/bin/sh"}}},
        {"name": "u", "user": {"token": TOKEN}},
    ],
}
PAIR = {"client-certificate-data": encoded("CERT"), "client-key-data": encoded("KEY")}


def changed(*, cluster: dict | None = None, user: dict | None = None, **top: Any) -> dict[str, Any]:
    made = copy.deepcopy(GOOD) | top
    if cluster is not None:
        made["clusters"][1]["cluster"] |= cluster
    if user is not None:
        made["users"][1]["user"] = user
    return made


def read(document: dict | str) -> Any:
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    return read_kubeconfig(SecretBytes(text), WHERE)


@pytest.mark.parametrize("write", [yaml.safe_dump, json.dumps], ids=["yaml", "json"])
def test_current_context_is_used_and_what_others_say_does_not_matter(write) -> None:
    found = read(write(GOOD))

    assert ("https://api.example.com:6443", b"CA", None) == (found.server, found.ca_pem, found.certificate)
    assert found.token.reveal() == TOKEN.encode()


@pytest.mark.parametrize("user", [PAIR, PAIR | {"token": TOKEN}], ids=["alone", "with-a-token"])
def test_client_certificate_is_a_login(user) -> None:
    found = read(changed(user=user))

    assert (b"CERT", b"KEY") == (found.certificate.certificate, found.certificate.key.reveal())
    assert ("token" in user) == (found.token is not None)


REFUSED = [
    ("user", {"exec": {"command": "/bin/sh"}}, "exec names a program"),
    ("user", {"auth-provider": {"name": "oidc"}}, "auth-provider is not supported"),
    ("user", {"tokenFile": "/var/run/secrets/token"}, "tokenFile names a file"),
    ("user", {"client-certificate": "/c", "client-key": "/k"}, "client-certificate names a file"),
    ("user", {"client-certificate-data": "Qw==", "client-key": "/k"}, "client-key names a file"),
    ("user", {"username": "admin", "password": TOKEN}, "username is not supported"),
    ("user", {"token": TOKEN, "as": "system:admin"}, "as is not supported"),
    ("user", {}, "has no login"),
    ("user", {"client-certificate-data": "Qw=="}, "has no login"),
    ("user", {"token": TOKEN, "client-certificate-data": "%"}, "client-certificate-data is no base64"),
    ("cluster", {"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify is not allowed"),
    ("cluster", {"proxy-url": "socks5://127.0.0.1"}, "proxy-url is not allowed"),
    ("cluster", {"tls-server-name": "other"}, "tls-server-name is not supported"),
    (
        "cluster",
        {"certificate-authority": "/ca", "certificate-authority-data": ""},
        "certificate-authority names a file",
    ),
    ("cluster", {"server": ""}, "names no server"),
]


@pytest.mark.parametrize(("part", "fields", "why"), REFUSED, ids=[why for _, _, why in REFUSED])
def test_what_reaches_out_of_the_file_is_refused(part, fields, why) -> None:
    with pytest.raises(SpecError, match=why) as refused:
        read(changed(**{part: fields}))

    assert WHERE in refused.value.message
    assert TOKEN not in f"{refused.value!r}{refused.value.__context__!r}"


@pytest.mark.parametrize(
    "top",
    [
        {"current-context": ""},
        {"current-context": "nowhere"},
        {"contexts": None},
        {"clusters": []},
        {"users": {"name": "u"}},
        {"users": ["u"]},
        {"contexts": [{"name": "here", "context": "c"}]},
    ],
    ids=str,
)
def test_context_that_is_not_whole_is_told(top) -> None:
    with pytest.raises(SpecError, match="of its current context"):
        read(changed(**top))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"token: [{TOKEN}", id="torn"),
        pytest.param(f"- {TOKEN}", id="list"),
        pytest.param("", id="nothing"),
        pytest.param("\x00\xff", id="binary"),
        pytest.param("a: &a {k: v}\nb: {<<: *a}", id="alias"),
        pytest.param("[" * 5000, id="deep"),
        pytest.param("!!python/object/apply:os.system ['true']", id="object"),
        pytest.param("a: " + "x" * MAX_BYTES, id="long"),
    ],
)
def test_text_that_cannot_be_read_is_told_without_its_content(text) -> None:
    began = time.process_time()

    with pytest.raises(SpecError) as refused:
        read(text)

    assert WHERE in refused.value.message
    assert TOKEN not in f"{refused.value!r}{refused.value.__context__!r}"
    assert time.process_time() - began < 2
