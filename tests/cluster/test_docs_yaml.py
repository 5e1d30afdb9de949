"""Every YAML block of the pages, and every sample, is taken by the API server, or refused where the page says so."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.docs.markdown import SAMPLES, Block, blocks, pages

from keyferry.errors import KubeError
from keyferry.testing.eventually import eventually
from keyferry.testing.tenant import CLUSTER_KINDS, SYNC_S, Tenant

BLOCKS = [block for page in pages() for block in blocks(page, "yaml")]
BLOCKS += [Block(sample, 1, "yaml", sample.read_text("utf-8"), {}) for sample in SAMPLES]


def with_mark(*marks: str) -> list[Block]:
    """The blocks that have one of the marks; those with none of them, if there are none."""
    return [block for block in BLOCKS if set(marks) & set(block.marks)]


def objects(block: Block) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(block.text) if document]


def apply(tenant: Tenant, block: Block, *, only_try: bool = False) -> list[dict[str, Any]]:
    """Apply the block in the tenant's namespace, strictly: a field that there is not is an error.

    Cluster-scoped objects are only tried: their names are those of everybody.
    """
    applied = []
    for body in objects(block):
        assert "namespace" not in body["metadata"], (
            "a block that names a namespace cannot be applied in another"
        )
        dry = {"dryRun": "All"} if only_try or body["kind"] in CLUSTER_KINDS else {}
        path = tenant.path(body["kind"], body["metadata"]["name"])
        query: dict[str, str] = {"fieldManager": "docs", "fieldValidation": "Strict", **dry}
        applied.append(tenant.kube.patch(path, body, kind="apply", **query))
    return applied


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if "refused" not in b.marks], ids=lambda block: block.place
)
def test_block_is_accepted(tenant: Tenant, installed: None, block: Block) -> None:
    assert len(apply(tenant, block)) == len(objects(block)) > 0


@pytest.mark.parametrize("block", with_mark("refused"), ids=lambda block: block.place)
def test_block_is_refused_as_the_page_says(tenant: Tenant, installed: None, block: Block) -> None:
    def refusal() -> str:
        """Admission policies take effect a moment after they are there."""
        with pytest.raises(KubeError) as refused:
            apply(tenant, block, only_try=True)
        return str(refused.value)

    assert eventually(lambda: block.marks["refused"] in refusal())


@pytest.mark.parametrize("block", with_mark("synced"), ids=lambda block: block.place)
def test_block_is_synced_as_the_page_says(tenant: Tenant, operator: object, block: Block) -> None:
    apply(tenant, block)

    tenant.wait_synced(block.marks["synced"])


@pytest.mark.parametrize("block", with_mark("failed"), ids=lambda block: block.place)
def test_block_fails_as_the_page_says(tenant: Tenant, operator: object, block: Block) -> None:
    apply(tenant, block)

    for body in objects(block):
        if body["kind"] == "ExternalSecret":
            tenant.wait_failed(body["metadata"]["name"], holding=block.marks["failed"])


def test_first_example_makes_the_secret_that_the_page_describes(tenant: Tenant, operator: object) -> None:
    block = next(b for b in with_mark("synced") if b.page.name == "externalsecret.md")
    apply(tenant, block)
    tenant.wait_synced("db")

    found = eventually(lambda: tenant.get("Secret", "db-credentials"), timeout_s=SYNC_S)
    assert {"username", "password", "token"} == set(found["data"])
    assert found["metadata"]["labels"]["app"] == "shop"
    assert [owner["kind"] for owner in found["metadata"]["ownerReferences"]] == ["ExternalSecret"]


def test_there_are_blocks_of_every_sort() -> None:
    assert len(BLOCKS) >= 15
    assert all(with_mark(mark) for mark in ("refused", "synced", "failed"))
