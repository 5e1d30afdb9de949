"""Every field of the kinds is on its page, and every field of a page is one of the kinds."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from keyferry.api.cluster_external_secret import ClusterExternalSecretSpec
from keyferry.api.external_secret import ExternalSecretSpec
from keyferry.api.providers.aws import AWSProvider
from keyferry.api.providers.azurekv import AzureKVProvider
from keyferry.api.providers.fake import FakeProvider
from keyferry.api.providers.kubernetes import KubernetesProvider
from keyferry.api.providers.vault import VaultProvider
from keyferry.api.providers.webhook import WebhookProvider
from keyferry.api.secret_store import SecretStoreProvider, SecretStoreSpec
from keyferry.api.store_policy import PolicyStoreRef, StorePolicyRule, StorePolicySpec
from keyferry.providers.registry import AVAILABLE

from .markdown import ROOT, headings, prose, spans, table

KINDS = ROOT / "docs/kinds"
PROVIDERS = ROOT / "docs/providers"


def fields(model: Any, path: str = "") -> Iterator[str]:
    """The wire paths of a type's fields, `[]` for lists."""
    hints = typing.get_type_hints(model)
    for key, name in zip(model.__struct_encode_fields__, model.__struct_fields__, strict=True):
        yield from _below(hints[name], f"{path}{key}")


def _below(hint: Any, path: str) -> Iterator[str]:
    origin = typing.get_origin(hint)
    options = typing.get_args(hint) if origin in (typing.Union, types.UnionType) else (hint,)
    for option in options:
        listed = typing.get_origin(option) is tuple
        inner = typing.get_args(option)[0] if listed else option
        here = f"{path}[]" if listed else path
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield here
            yield from fields(inner, f"{here}.")
        elif option is not types.NoneType:
            yield here


def documented(page: Any, *columns: str) -> set[str]:
    """The fields of the page's tables."""
    return {row[0].strip("`") for row in table(page, *columns)}


def test_page_of_externalsecret_has_every_field():
    """A field whose parts all have rows needs none itself; extract has the fields of remoteRef."""
    rows = documented(KINDS / "externalsecret.md", "Field", "Default", "What it does")
    wanted = set(fields(ExternalSecretSpec))
    missing = {
        path
        for path in wanted - rows
        if not path.startswith(
            ("dataFrom[].extract.", "data[].sourceRef.storeRef.", "dataFrom[].sourceRef.storeRef.")
        )
        and not any(row.startswith(f"{path}.") for row in rows)
    }

    assert set() == missing
    assert set() == rows - wanted - {"dataFrom[].rewrite"}  # a list, named without its brackets


def test_page_of_stores_has_every_field():
    rows = documented(KINDS / "secretstore.md", "Field", "Default", "What it does")
    wanted = {path for path in fields(SecretStoreSpec) if not path.startswith("provider.")}
    missing = {
        path
        for path in wanted - rows
        if not path.startswith("conditions[].namespaceSelector.")
        and not any(row.startswith(f"{path}.") for row in rows)
    }

    assert set() == missing - {"conditions[].namespaces[]", "conditions[].namespaceRegexes[]"}
    assert set() == rows - wanted - {"conditions[].namespaces", "conditions[].namespaceRegexes"}


def test_page_of_clusterexternalsecret_has_every_field():
    """What it embeds is on the page of ExternalSecret."""
    rows = documented(KINDS / "clusterexternalsecret.md", "Field", "Default", "What it does")
    inside = ("externalSecretSpec.", "namespaceSelector.", "namespaceSelectors[].")
    wanted = {path for path in fields(ClusterExternalSecretSpec) if not path.startswith(inside)}

    assert rows == wanted - {"externalSecretMetadata"}


def test_page_of_storepolicy_has_every_field():
    rows = documented(KINDS / "storepolicy.md", "Field", "Default", "What it does")
    wanted = {
        f"{parts}.{field}"
        for parts, model in (("storeRefs[]", PolicyStoreRef), ("rules[]", StorePolicyRule))
        for field in model.__struct_encode_fields__
    }

    assert rows == wanted
    assert {"storeRefs", "rules"} == set(StorePolicySpec.__struct_encode_fields__)


def test_page_of_aws_has_every_field():
    rows = documented(PROVIDERS / "aws.md", "Field", "What it does")
    missing = {
        path
        for path in set(fields(AWSProvider)) - rows
        if not any(path.startswith(f"{row}.") or row.startswith(f"{path}.") for row in rows)
    }

    assert set() == missing
    assert set() == rows - set(fields(AWSProvider))


def test_page_of_azurekv_has_every_field():
    rows = documented(PROVIDERS / "azurekv.md", "Field", "What it does")
    missing = {
        path
        for path in set(fields(AzureKVProvider)) - rows
        if not any(path.startswith(f"{row}.") or row.startswith(f"{path}.") for row in rows)
    }

    assert set() == missing
    assert set() == rows - set(fields(AzureKVProvider))


def test_page_of_fake_has_every_field():
    rows = documented(PROVIDERS / "fake.md", "Field", "What it does")

    assert rows == set(fields(FakeProvider)) - {"data[]"}


def test_page_of_kubernetes_has_every_field():
    rows = documented(PROVIDERS / "kubernetes.md", "Field", "What it does")
    missing = {
        path
        for path in set(fields(KubernetesProvider)) - rows
        if not any(path.startswith(f"{row}.") or row.startswith(f"{path}.") for row in rows)
    }

    assert set() == missing
    assert set() == rows - set(fields(KubernetesProvider))


def test_page_of_vault_has_every_field():
    rows = documented(PROVIDERS / "vault.md", "Field", "What it does")
    missing = {
        path
        for path in set(fields(VaultProvider)) - rows
        if not any(path.startswith(f"{row}.") or row.startswith(f"{path}.") for row in rows)
    }

    assert set() == missing
    assert set() == rows - set(fields(VaultProvider))


def test_page_of_webhook_has_every_field():
    rows = documented(PROVIDERS / "webhook.md", "Field", "What it does")
    missing = {
        path
        for path in set(fields(WebhookProvider)) - rows
        if not any(path.startswith(f"{row}.") or row.startswith(f"{path}.") for row in rows)
    }

    assert set() == missing - {"secrets[]"}
    assert set() == rows - set(fields(WebhookProvider))


def test_every_provider_is_listed_as_served_or_as_kept():
    page = PROVIDERS / "README.md"
    served = {row[0].strip("`") for row in table(page, "Key", "Store", "Page")}
    kept = prose(page).partition("## Kept")[2]
    listed = {span.strip("`") for span in re.findall(r"`\w+`", kept)} & set(
        SecretStoreProvider.__struct_encode_fields__
    )

    assert served == set(AVAILABLE)
    assert served | listed >= set(SecretStoreProvider.__struct_encode_fields__)
    assert {provider for provider in served if not (PROVIDERS / f"{provider}.md").exists()} == set()


def test_policies_have_a_part_of_their_own():
    parts = {text for _, text in headings(KINDS / "externalsecret.md")}

    assert {"creationPolicy", "deletionPolicy"} <= parts
    assert {"`Owner`", "`Orphan`", "`Merge`", "`CreateOrMerge`", "`None`"} == {
        row[0]
        for row in table(
            KINDS / "externalsecret.md",
            "Policy",
            "No Secret there",
            "A Secret there",
            "Foreign keys",
            "ExternalSecret deleted",
        )
    }
    assert {"Periodic", "OnChange", "CreatedOnce"} <= set(spans(KINDS / "externalsecret.md"))
