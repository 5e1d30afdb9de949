"""The CustomResourceDefinitions, made of the typed models.

`KINDS` is the one list of what is installed: a further kind is one more entry. `keyferry crds` writes them
into crds/; nothing here runs in the operator.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from keyferry.api import names
from keyferry.api.external_secret import ExternalSecretSpec, ExternalSecretStatus
from keyferry.api.model import Model
from keyferry.api.openapi import Schema, object_schema, without_descriptions
from keyferry.api.secret_store import SecretStoreSpec, SecretStoreStatus

_READY: Final = '.status.conditions[?(@.type=="Ready")]'


class Column(NamedTuple):
    """A column that `kubectl get` prints.

    Args:
        name: its heading.
        path: JSONPath of the value.
        type: string or date.
    """

    name: str
    path: str
    type: str = "string"


class Version(NamedTuple):
    """A version of a kind.

    Args:
        name: such as v1.
        served: whether the API server answers for it.
        storage: whether objects are stored in it; exactly one version's is true.
        deprecated: whether clients are warned.
    """

    name: str
    served: bool = True
    storage: bool = False
    deprecated: bool = False


class Kind(NamedTuple):
    """A kind, and what its CustomResourceDefinition says of it.

    Args:
        kind: its name; singular and plural are made of it.
        scope: Namespaced or Cluster.
        short_names: what `kubectl get` takes for it.
        description: what it is for.
        spec, status: its types.
        columns: what `kubectl get` prints.
        selectable: JSONPaths that field selectors may use.
        group: its API group.
        versions: its versions, all with the same schema.
        categories: groups of kinds for `kubectl get`.
    """

    kind: str
    scope: Literal["Namespaced", "Cluster"]
    short_names: tuple[str, ...]
    description: str
    spec: type[Model]
    status: type[Model]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    group: str = names.GROUP
    versions: tuple[Version, ...] = (
        Version(names.VERSION, storage=True),
        Version(names.LEGACY_VERSION, served=False, deprecated=True),
    )
    categories: tuple[str, ...] = (names.CATEGORY,)

    @property
    def singular(self) -> str:
        """The name in URLs, for one."""
        return self.kind.lower()

    @property
    def plural(self) -> str:
        """The name in URLs."""
        return f"{self.singular}s"


_STORE_COLUMNS: Final = (
    Column("AGE", ".metadata.creationTimestamp", "date"),
    Column("Status", f"{_READY}.reason"),
    Column("Capabilities", ".status.capabilities"),
    Column("Ready", f"{_READY}.status"),
)

KINDS: Final = (
    Kind(
        names.EXTERNAL_SECRET,
        "Namespaced",
        ("es",),
        "Says what to read from a store, and which Secret to make of it.",
        ExternalSecretSpec,
        ExternalSecretStatus,
        (
            Column("StoreType", ".spec.secretStoreRef.kind"),
            Column("Store", ".spec.secretStoreRef.name"),
            Column("Refresh Interval", ".spec.refreshInterval"),
            Column("Status", f"{_READY}.reason"),
            Column("Ready", f"{_READY}.status"),
            Column("Last Sync", ".status.refreshTime", "date"),
        ),
        selectable=(
            ".spec.secretStoreRef.name",
            ".spec.secretStoreRef.kind",
            ".spec.target.name",
            ".spec.refreshInterval",
        ),
    ),
    Kind(
        names.SECRET_STORE,
        "Namespaced",
        ("ss",),
        "Says where remote secrets are kept and how to get in, for ExternalSecrets of the same namespace.",
        SecretStoreSpec,
        SecretStoreStatus,
        _STORE_COLUMNS,
    ),
    Kind(
        names.CLUSTER_SECRET_STORE,
        "Cluster",
        ("css",),
        "Says where remote secrets are kept and how to get in, for ExternalSecrets of many namespaces.",
        SecretStoreSpec,
        SecretStoreStatus,
        _STORE_COLUMNS,
    ),
)
"""All kinds, in the order in which they are printed."""

_API_VERSION: Final = "Version of the API that the object is written in."
_KIND: Final = "Kind of the object."


def crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "labels": {names.LABEL_COMPONENT: names.LABEL_COMPONENT_CONTROLLER},
        },
        "spec": {
            "group": kind.group,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                "categories": list(kind.categories),
            },
            "scope": kind.scope,
            # All versions have the same schema: nothing is converted.
            "conversion": {"strategy": "None"},
            "versions": [_version(kind, version) for version in kind.versions],
        },
    }


def _version(kind: Kind, version: Version) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": version.name, "served": version.served, "storage": version.storage}
    if version.deprecated:
        entry["deprecated"] = True
    entry["subresources"] = {"status": {}}
    entry["additionalPrinterColumns"] = [
        {"name": column.name, "type": column.type, "jsonPath": column.path} for column in kind.columns
    ]
    # Only where served: the API server takes equal fields of all versions for common ones, and then misses a
    # common schema beside them.
    if kind.selectable and version.served:
        entry["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    root = _root(kind)
    # Nobody is shown a version that is not served, and the whole must fit into kubectl's annotation.
    entry["schema"] = {"openAPIV3Schema": root if version.served else without_descriptions(root)}
    return entry


def _root(kind: Kind) -> Schema:
    return {
        "description": kind.description,
        "type": "object",
        "properties": {
            "apiVersion": {"description": _API_VERSION, "type": "string"},
            "kind": {"description": _KIND, "type": "string"},
            "metadata": {"type": "object"},
            "spec": object_schema(kind.spec),
            "status": object_schema(kind.status),
        },
    }


def file_name(kind: Kind) -> str:
    """Name of the file that holds a kind's definition, such as external-secrets.io_externalsecrets.yaml."""
    return f"{kind.group}_{kind.plural}.yaml"
