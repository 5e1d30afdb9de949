"""What the migration page says of objects that another operator leaves behind."""

from __future__ import annotations

from tests.docs.markdown import ROOT, blocks, spans

from keyferry.api import names
from keyferry.localcluster import LocalCluster
from keyferry.testing.builders import entry, external_secret, store
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

PAGE = ROOT / "docs/migration.md"
VALUE = canary("docs-migration")


def test_leftover_finalizer_holds_an_object_until_the_patch_of_the_page(
    tenant: Tenant, cluster: LocalCluster, operator: OperatorProcess
) -> None:
    finalizer = names.FINALIZER_EXTERNAL_SECRET
    patch = next(block.text for block in blocks(PAGE, "sh") if "/metadata/finalizers" in block.text)
    body = patch.partition("-p '")[2].partition("'")[0]
    tenant.create(
        store({"db": VALUE}),
        external_secret("db", entry("v", "db"), metadata={"finalizers": [finalizer]}),
        external_secret("witness", entry("v", "db")),
    )
    tenant.wait_synced("db")
    tenant.delete("ExternalSecret", "db")
    tenant.annotate("ExternalSecret", "witness", {names.ANNOTATION_FORCE_SYNC: "1"})
    tenant.wait_event("ExternalSecret", "witness", "Updated")
    held = tenant.get("ExternalSecret", "db")["metadata"]["finalizers"]
    cluster.kubectl("-n", tenant.namespace, "patch", "externalsecret", "db", "--type=json", "-p", body)

    assert finalizer in spans(PAGE)
    assert held == [finalizer]
    tenant.wait_gone("ExternalSecret", "db")
