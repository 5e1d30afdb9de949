"""The reference of functions is what the code makes, and what it claims is so."""

from __future__ import annotations

import os
import time

import pytest

from keyferry.gotemplate import Limits, Run, StringMap, parse
from keyferry.gotemplate.functions.table import FUNCTIONS

from . import function_reference as reference
from .markdown import anchor, headings, spans

EXAMPLES = list(reference.examples())
WITHOUT_EXAMPLE = {
    # What is random, or of this moment.
    *("ago", "now", "bcrypt", "htpasswd", "encryptAES", "decryptAES", "genPrivateKey", "rsaDecrypt"),
    *("genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert"),
    *("genSignedCertWithKey", "buildCustomCert"),
    *("randAlpha", "randAlphaNum", "randAscii", "randBytes", "randInt", "randNumeric", "shuffle", "uuidv4"),
    # What takes keys, certificates and archives.
    *("certSANs", "filterCertChain", "filterPEM", "jwkPrivateKeyPem", "jwkPublicKeyPem", "fullPemToPkcs12"),
    *("fullPemToPkcs12Pass", "pemToPkcs12", "pemToPkcs12Pass", "pemTruststoreToPKCS12"),
    *("pemTruststoreToPKCS12Pass", "pkcs12cert", "pkcs12certPass", "pkcs12key", "pkcs12keyPass"),
    # What has nothing to show on one line.
    *("call", "deepCopy", "dateModify", "date_modify", "fail", "hello", "index", "println", "toPrettyJson"),
}


def printed(expression: str) -> str:
    run = Run(Limits(), now_ns=0, monotonic=time.monotonic, random_bytes=os.urandom)
    return parse("example", f"{{{{ {expression} }}}}").render(StringMap(), run).decode()


def test_page_is_what_the_code_makes():
    assert reference.page() == reference.PAGE.read_text("utf-8")


def test_drift_is_told(tmp_path, monkeypatch, capsys):
    changed = tmp_path / "page.md"
    changed.write_text("# Template functions\n")
    monkeypatch.setattr(reference, "PAGE", changed)
    monkeypatch.setattr(reference, "ROOT", tmp_path)

    assert reference.main(["--check"]) == 1
    assert "run 'make generate'" in capsys.readouterr().err
    assert reference.main(["--write"]) == 0
    assert reference.main(["--check"]) == 0


def test_every_function_is_on_the_page():
    told = {span.split(" ")[0] for span in spans(reference.PAGE)}

    assert set() == FUNCTIONS.keys() - told


def test_no_two_headings_have_one_anchor():
    found = [anchor(text) for _, text in headings(reference.PAGE)]

    assert sorted(set(found)) == sorted(found)


@pytest.mark.parametrize(
    ("name", "expression", "result"),
    EXAMPLES,
    ids=[f"{name}: {expression}" for name, expression, _ in EXAMPLES],
)
def test_example_prints_what_it_says(name, expression, result):
    assert result == printed(expression)


def test_every_function_that_has_one_answer_has_an_example():
    """Or is told of with another, or calls for a key, a clock or chance."""
    shown = {name for name, _, _ in EXAMPLES}
    lacking = {name for name in FUNCTIONS if name not in shown and not name.startswith("must")}

    assert WITHOUT_EXAMPLE == lacking


def test_every_text_is_a_sentence():
    """It begins in upper case or with code, and ends with a full stop or an example."""
    texts = {name: reference.told(function) for name, function in FUNCTIONS.items()}
    loose = [
        name
        for name, paragraphs in texts.items()
        if not paragraphs[0].endswith((".", "`"))
        or not (paragraphs[0][0].isupper() or paragraphs[0][0] == "`")
    ]

    assert [] == loose
