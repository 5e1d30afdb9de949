"""`.reveal()` is the one way to a secret value, and few modules may take it: the code is read for others."""

from __future__ import annotations

import ast
from pathlib import Path

import keyferry
from keyferry.secretdata import SecretBytes

PACKAGE = Path(keyferry.__file__).parent
ALLOWED = {
    "cli/render/printing.py": "prints the values of the author's own file, which is what the command is for",
    "core/decode.py": "decodes base64 and looks for NUL bytes",
    "core/hashing.py": "the data hash is made of the bytes",
    "core/manifest.py": "puts the values into a target that is no Secret, as its flag allows",
    "core/template.py": "hands the values to the template engine, which is a leaf and keeps nothing",
    "core/select.py": "takes a property or the entries out of a value",
    "generators/mfa.py": "makes the token of the moment from the seed",
    "kube/apply.py": "puts the values into the Secret that is sent to the API server",
    "kube/remote.py": "tells by client certificate and key who may share connections",
    "kube/remote_api.py": "shows a token or a client certificate to another API server",
    "providers/aws/credentials.py": "exchanges the web identity token at STS",
    "providers/aws/identity.py": "reads access keys, and hashes them into the identity's fingerprint",
    "providers/aws/sdk.py": "hands credentials to the SDK, which signs requests with them",
    "providers/azure/generators.py": "shows a token of Entra ID to a registry",
    "providers/azure/identity.py": "reads ids and client secrets, and hashes them into the identity's fingerprint",
    "providers/azure/sdk.py": "hands proofs of identity to the SDK, and tokens to its clients",
    "providers/azure/select.py": "takes tags out of an object's metadata",
    "providers/github/generators.py": "signs as the GitHub App with its private key",
    "providers/gitlab/generators.py": "shows the access token to GitLab",
    "providers/kubernetes/identity.py": "reads tokens and key pairs, and hashes them into the identity's fingerprint",
    "providers/kubernetes/kubeconfig.py": "reads the kubeconfig of a Secret",
    "providers/kubernetes/reading.py": "takes keys, and members of their JSON, out of a Secret's data",
    "providers/quay/generators.py": "shows the ServiceAccount's token to Quay",
    "providers/trust.py": "reads a server's CA, which may be kept in a Secret",
    "providers/vault/google.py": "signs with a Google key, and shows tokens to Google",
    "providers/vault/identity.py": "hashes credentials into the identity's fingerprint",
    "providers/vault/login.py": "shows credentials to Vault, which gives a token for them",
    "providers/vault/material.py": "reads credentials from Secrets, as text without a line break",
    "providers/vault/transport.py": "sends the token with each request to Vault",
    "providers/vault/way.py": "hands the client certificate's key to TLS",
    "providers/webhook/material.py": "gives labelled Secrets to a request's templates, and hashes them into the identity",
}
"""Modules that may see values, each with its reason. A new line here is a decision: keep the list short."""
HIDDEN = {"reveal", *SecretBytes.__slots__}


def _uses(source: str) -> list[int]:
    """The lines that take the method, called or not, by name or by its text, or reach around it."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        by_attribute = isinstance(node, ast.Attribute) and node.attr in HIDDEN
        by_text = isinstance(node, ast.Constant) and node.value in HIDDEN
        own = by_attribute and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        if (by_attribute and not own) or by_text:
            lines.append(node.lineno)
    return sorted(lines)


def _modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name != "secretdata.py":
            yield name, path.read_text("utf-8")


def test_no_other_module_sees_secret_values():
    found = {name: lines for name, source in _modules() if name not in ALLOWED and (lines := _uses(source))}

    assert found == {}


def test_no_module_is_allowed_without_need():
    assert {name for name, source in _modules() if _uses(source)} >= set(ALLOWED)


def test_every_way_to_a_value_is_noticed():
    source = """
value.reveal()
list(map(SecretBytes.reveal, values))
show = value.reveal
getattr(value, "reveal")()
operator.methodcaller("reveal")(value)
value._value
self.data["a"].reveal()
"""

    assert _uses(source) == [2, 3, 4, 5, 6, 7, 8]


def test_other_words_are_not_taken_for_it():
    assert _uses('self._value = 1\n"values are revealed by reveal()"\nrevealed(value)\nvalue.revealed') == []
