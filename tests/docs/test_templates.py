"""The examples of docs/templates.md make what the page shows, and the mistakes say what it quotes.

By `keyferry render`, which has the operator's own decisions; those marked synced or failed are also applied on the
real control plane, with all other blocks.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any

import bcrypt
import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from keyferry.cli.process import RunOptions
from keyferry.cli.render import render
from keyferry.core.desired import MAX_SECRET_BYTES
from keyferry.core.fieldpath import MAX_INDEX
from keyferry.core.template_spec import MAX_LABEL_CHARS
from keyferry.gotemplate import ExecError, Limits, Run, StringMap, parse
from keyferry.gotemplate.budget import CRYPTO_UNITS_PER_S
from keyferry.gotemplate.functions import keys, passwords
from keyferry.gotemplate.template import MAX_TEXT_BYTES
from keyferry.testing.leaks import canary

from .markdown import ROOT, Block, blocks, prose, table

PAGE = ROOT / "docs/templates.md"
PASSWORD = canary("keystore")
SHOWN = [block for block in blocks(PAGE, "text") if "renders" in block.marks]
MANIFESTS = list(blocks(PAGE, "yaml"))
KIND = "ExternalSecret"
FAILING = [block for block in MANIFESTS if "failed" in block.marks]
MISTAKE = re.compile(r"^- `(\{\{.+?\}\})`: `(.+?)`(?:\. |\.$|$)")
STRANGE = re.compile(r"^- `(\{\{.+?\}\})` writes `([^`]+)`")
OF_MISTAKES = {
    "user": "shop",
    "password": "not-a-real-one",
    "db-host": "db",
    "hash": "bcrypt",
    "config": '{"port": 5432}',
}


# -- what the examples are given


@functools.cache
def chain() -> tuple[ec.EllipticCurvePrivateKey, list[x509.Certificate]]:
    """A key, and the certificates from its own one up to the root."""
    names = ["leaf", "intermediate", "root"]
    made = {name: ec.generate_private_key(ec.SECP256R1()) for name in names}
    certificates = []
    for name, issuer in zip(names, [*names[1:], "root"], strict=True):
        start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"example {name}")]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"example {issuer}")]))
            .public_key(made[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + dt.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=name != "leaf", path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(made[name].public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(made[issuer].public_key()), critical=False
            )
        )
        certificates.append(builder.sign(made[issuer], hashes.SHA256()))
    return made["leaf"], certificates


def pem(*certificates: x509.Certificate) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def key_pem() -> str:
    return chain()[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def archive() -> Mapping[str, Any]:
    """An archive without password, in base64, its certificates in no order."""
    key, (leaf, intermediate, root) = chain()
    made = pkcs12.serialize_key_and_certificates(b"example", key, leaf, [root, intermediate], NoEncryption())
    return {"shop/archive": base64.b64encode(made).decode()}


def bundle() -> Mapping[str, Any]:
    leaf, intermediate, root = chain()[1]
    return {"shop/bundle": pem(root) + key_pem() + pem(leaf, intermediate)}


def keystore() -> Mapping[str, Any]:
    leaf, intermediate, root = chain()[1]
    parts = {"chain": pem(leaf, intermediate), "key": key_pem(), "authority": pem(root), "password": PASSWORD}
    return {"shop/java": parts}


GIVEN = {
    "archive": archive,
    "bundle": bundle,
    "keystore": keystore,
    "settings": lambda: {"shop/host": "db.example.com", "shop/size": "10"},
}


# -- rendering


def values_of(block: Block) -> Mapping[str, Any]:
    """What the block's own store holds, or what the test gives instead of one."""
    if "given" in block.marks:
        return GIVEN[block.marks["given"]]()
    [store] = [one for one in yaml.safe_load_all(block.text) if one["kind"] == "SecretStore"]
    return {one["key"]: one["value"] for one in store["spec"]["provider"]["fake"]["data"]}


@pytest.fixture
def run(tmp_path):
    """Renders manifests with values."""

    def run(manifests: str, values: Mapping[str, Any]) -> Result:
        (tmp_path / "manifests.yaml").write_text(manifests)
        (tmp_path / "values.yaml").write_text(yaml.safe_dump(dict(values)))
        paths = ["-f", str(tmp_path / "manifests.yaml"), "--values", str(tmp_path / "values.yaml")]
        return CliRunner().invoke(render, paths)

    return run


@pytest.fixture
def rendered(run):
    """What the example of a name makes: a Secret's data."""

    def rendered(name: str) -> dict[str, bytes]:
        result = run(example(name).text, values_of(example(name)))
        [made] = yaml.safe_load_all(result.stdout)
        texts = {key: text.encode() for key, text in made.get("stringData", {}).items()}
        return texts | {key: base64.b64decode(text) for key, text in made.get("data", {}).items()}

    return rendered


def example(name: str) -> Block:
    """The block that holds the ExternalSecret of a name."""
    [found] = [
        block
        for block in MANIFESTS
        if name in [one["metadata"]["name"] for one in yaml.safe_load_all(block.text) if one["kind"] == KIND]
    ]
    return found


def pattern(shown: str) -> re.Pattern[str]:
    """A shown output as a pattern: `…` stands for what varies."""
    lines = ".*".join(re.escape(part) for part in shown.split("…"))
    return re.compile(f"(?:^|.*\n){lines}", re.DOTALL)


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.marks["renders"])
def test_example_renders_what_the_page_shows(run, block):
    source = example(block.marks["renders"])
    result = run(source.text, values_of(source))

    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert pattern(block.text).fullmatch(result.stdout), result.stdout


@pytest.mark.parametrize("block", FAILING, ids=lambda block: block.place)
def test_example_of_a_failure_fails_as_the_page_says(run, block):
    result = run(block.text, values_of(block))

    assert result.exit_code == 1
    assert block.marks["failed"] in result.stderr


def test_every_example_is_shown_or_fails():
    shown = [block.marks["renders"] for block in SHOWN]

    assert len(set(shown)) == len(shown) >= 14
    assert {example(name).line for name in shown} | {one.line for one in FAILING} == {
        one.line for one in MANIFESTS
    }


def test_ten_jobs_are_ten():
    part = prose(PAGE).partition("\n## Ten jobs\n")[2].partition("\n## ")[0]

    assert part.count("\n### ") == 10


# -- what the patterns cannot tell


def test_archive_becomes_the_chain_from_the_leaf_on(rendered):
    made = rendered("tls")

    assert made["tls.crt"].decode() == pem(*chain()[1])
    assert load_pem_private_key(made["tls.key"], None).private_numbers() == chain()[0].private_numbers()


def test_bundle_is_split_into_leaf_chain_and_root(rendered):
    leaf, intermediate, root = chain()[1]

    assert {key: text.decode() for key, text in rendered("chain").items()} == {
        "ca.crt": pem(root),
        "tls.crt": pem(leaf, intermediate),
        "tls.key": key_pem(),
    }


def test_keystores_open_with_their_password(rendered):
    made = rendered("keystore")
    leaf, intermediate, root = chain()[1]
    opened = pkcs12.load_pkcs12(made["keystore.p12"], PASSWORD.encode())
    trusted = pkcs12.load_pkcs12(made["truststore.p12"], PASSWORD.encode())

    assert opened.key.private_numbers() == chain()[0].private_numbers()
    assert [opened.cert.certificate, *(one.certificate for one in opened.additional_certs)] == [
        leaf,
        intermediate,
    ]
    assert [one.certificate for one in trusted.additional_certs] == [root]


def test_hash_is_that_of_the_password(rendered):
    _, _, hashed = rendered("basic-auth")["auth"].partition(b":")

    assert bcrypt.checkpw(b"not-a-real-one", hashed)


def test_docker_login_is_user_and_password(rendered):
    login = json.loads(rendered("registry")[".dockerconfigjson"])["auths"]["registry.example.com"]

    assert base64.b64decode(login["auth"]) == b"shop:not-a-real-one"


# -- the language


OF_LANGUAGE = {
    "password": "PW",
    "db-password": "DB",
    "name": "Shop",
    "user": "U",
    "env": "prod",
    "config": '{"a": 1, "port": 5432}',
    "number": "10000000",
}
LANGUAGE = ["PW", "DB", '"shop"', "U:UFc=", "…", "……", "5432", "u", "U", "…", ""]
"""What the rows of the page's table write of these values, in their order."""


def made(text: str) -> str:
    run = Run(Limits(), now_ns=0, monotonic=time.monotonic, random_bytes=os.urandom)
    data = StringMap({key.encode(): value.encode() for key, value in OF_LANGUAGE.items()})
    return parse("example", text).render(data, run).decode()


def test_language_is_what_the_table_says():
    cells = [row[0].strip("`").replace("\\|", "|") for row in table(PAGE, "Text", "What it does")]

    assert LANGUAGE == [made(cell) for cell in cells]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{{ index . "port" | default "5432" }}', "5432"),
        ("{{ fromJson .number }}", "1e+07"),
        ("{{ fromJson .number | int64 }}", "10000000"),
        ("{{ fromJson .number | toJson }}", "10000000"),
        ('{{ len "é" }}', "2"),
    ],
)
def test_values_are_what_the_page_says(text, written):
    assert written == made(text)


@pytest.mark.parametrize(
    "text",
    ['{{ .port | default "1" }}', "{{ eq 1 1.0 }}", '{{ repeat (add 1 1) "a" }}', '{{ hasKey . "user" }}'],
)
def test_what_the_page_calls_an_error_is_one(text):
    with pytest.raises(ExecError):
        made(text)


# -- errors


def items(heading: str, form: re.Pattern[str]) -> list[tuple[str, str]]:
    """The list items of a part that begin in a form."""
    part = prose(PAGE).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    joined = [" ".join(one.split()) for one in re.split(r"\n(?=- )|\n\n", part)]
    return [found.groups() for one in joined if (found := form.match(one))]  # type: ignore[misc]


def with_template(text: str) -> str:
    """An ExternalSecret whose key `url` is made by a template."""
    spec = {
        "secretStoreRef": {"name": "fake"},
        "target": {"template": {"data": {"url": text}}},
        "dataFrom": [{"extract": {"key": "shop/db"}}],
    }
    metadata = {"name": "mistaken"}
    return yaml.safe_dump(
        {"apiVersion": "external-secrets.io/v1", "kind": KIND, "metadata": metadata, "spec": spec}
    )


@pytest.mark.parametrize(("template", "said"), items("Errors", MISTAKE))
def test_mistake_says_what_the_page_quotes(run, template, said):
    result = run(with_template(template), {"shop/db": OF_MISTAKES})

    assert result.exit_code == 1
    told = result.stderr.splitlines()[0].partition(f"{KIND} default/mistaken: ")[2]
    where = r'spec\.target\.template\.data\["url"\], line 1(, column \d+)?: '
    assert re.fullmatch(where + re.escape(said), told), told


@pytest.mark.parametrize(("template", "written"), items("Errors", STRANGE))
def test_strange_output_is_what_the_page_says(run, template, written):
    result = run(with_template(template), {"shop/db": OF_MISTAKES})

    [made] = yaml.safe_load_all(result.stdout)
    assert made["stringData"]["url"] == written


def test_every_item_of_errors_is_of_one_of_the_forms():
    every = items("Errors", re.compile(r"^- (`\{\{)(.+)"))

    assert len(every) == len(items("Errors", MISTAKE)) + len(items("Errors", STRANGE)) >= 20


# -- figures


def test_figures_are_those_of_the_code():
    limits, options = Limits(), RunOptions()
    text = " ".join(prose(PAGE).split())
    said = [
        f"{options.template_steps} steps",
        f"made | {options.template_memory} MiB |",
        f"Time | {options.template_timeout:g} s |",
        f"cryptography | {limits.crypto_units // 1000} s of a core",
        f"Output | {limits.output_bytes >> 20} MiB, and {MAX_SECRET_BYTES >> 20} MiB in a Secret",
        f"One value | {limits.value_bytes >> 20} MiB",
        f"{MAX_TEXT_BYTES >> 20} MiB, {limits.tokens} tokens",
        f"within each other | {limits.depth} |",
        f"blocks within each other | {limits.nesting} |",
        f"of 4096 bits counts as {keys._RSA_UNITS[4096] // 1000} s, a bcrypt hash as {passwords._BCRYPT_UNITS} ms",
        f"end at {limits.depth}, in Go",
        f"up to {MAX_INDEX}, as in",
        f"at most {MAX_LABEL_CHARS}.",
    ]

    assert [] == [one for one in said if one not in text]
    assert limits.crypto_units == options.template_timeout * CRYPTO_UNITS_PER_S
    assert limits.depth == limits.value_depth == limits.nesting
