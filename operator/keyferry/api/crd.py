"""The CustomResourceDefinitions, made of the typed models.

`KINDS` is the one list of what is installed: a further kind is one more entry. `keyferry crds` writes them
into crds/; nothing here runs in the operator.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, NamedTuple

from keyferry.api import names
from keyferry.api.cluster_external_secret import ClusterExternalSecretSpec, ClusterExternalSecretStatus
from keyferry.api.external_secret import ExternalSecretSpec, ExternalSecretStatus
from keyferry.api.generators import kinds
from keyferry.api.generators.cluster import ClusterGeneratorSpec
from keyferry.api.generators.state import GeneratorStateSpec, GeneratorStateStatus
from keyferry.api.model import Model
from keyferry.api.openapi import Schema, object_schema, without_descriptions
from keyferry.api.secret_store import SecretStoreSpec, SecretStoreStatus
from keyferry.api.store_policy import StorePolicySpec, StorePolicyStatus

_READY: Final = '.status.conditions[?(@.type=="Ready")]'


class Column(NamedTuple):
    """A column that `kubectl get` prints.

    Args:
        name: its heading.
        path: JSONPath of the value.
        type: string, integer or date.
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
        spec, status: its types; no status where nothing is told.
        columns: what `kubectl get` prints.
        selectable: JSONPaths that field selectors may use.
        group: its API group.
        versions: its versions, all with the same schema.
        categories: groups of kinds for `kubectl get`.
        needs_spec: whether the API server refuses an object without a spec.
    """

    kind: str
    scope: Literal["Namespaced", "Cluster"]
    short_names: tuple[str, ...]
    description: str
    spec: type[Model]
    status: type[Model] | None
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    group: str = names.GROUP
    versions: tuple[Version, ...] = (
        Version(names.VERSION, storage=True),
        Version(names.LEGACY_VERSION, served=False, deprecated=True),
    )
    categories: tuple[str, ...] = (names.CATEGORY,)
    needs_spec: bool = False

    @property
    def singular(self) -> str:
        """The name in URLs, for one."""
        return self.kind.lower()

    @property
    def plural(self) -> str:
        """The name in URLs."""
        return re.sub(r"(?<![aeiou])ys$", "ies", f"{self.singular}s")


_GENERATOR_VERSIONS: Final = (Version(names.GENERATORS_API_VERSION.rpartition("/")[2], storage=True),)
_GENERATOR_CATEGORIES: Final = (names.CATEGORY, names.GENERATORS_CATEGORY)


def _generator(
    kind: str, spec: type[Model], description: str, scope: Literal["Namespaced", "Cluster"] = "Namespaced"
) -> Kind:
    return Kind(
        kind,
        scope,
        (),
        description,
        spec,
        None,
        (),
        group=names.GENERATORS_GROUP,
        versions=_GENERATOR_VERSIONS,
        categories=_GENERATOR_CATEGORIES,
    )


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
    Kind(
        names.CLUSTER_EXTERNAL_SECRET,
        "Cluster",
        ("ces",),
        "Says which namespaces have the same ExternalSecret.",
        ClusterExternalSecretSpec,
        ClusterExternalSecretStatus,
        (
            Column("Store", ".spec.externalSecretSpec.secretStoreRef.name"),
            Column("Refresh Interval", ".spec.refreshTime"),
            Column("Ready", f"{_READY}.status"),
        ),
    ),
    *(
        _generator(
            generator.kind,
            generator.spec,
            "Makes values for ExternalSecrets of the same namespace that name it in a generatorRef.",
        )
        for generator in kinds.GENERATORS
    ),
    _generator(
        names.CLUSTER_GENERATOR,
        ClusterGeneratorSpec,
        "Makes values for ExternalSecrets of all namespaces that name it in a generatorRef.",
        scope="Cluster",
    ),
    _generator(
        names.GENERATOR_STATE,
        GeneratorStateSpec,
        "Keeps what a generator has made elsewhere, so that it can be taken back. Written by the operator.",
    )._replace(
        status=GeneratorStateStatus,
        short_names=("gs",),
        columns=(
            Column("GC Deadline", ".spec.garbageCollectionDeadline"),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
    ),
    Kind(
        names.STORE_POLICY,
        "Cluster",
        ("stp",),
        "Says which remote keys of ClusterSecretStores a namespace may read.",
        StorePolicySpec,
        StorePolicyStatus,
        (
            Column("Stores", ".status.stores", "integer"),
            Column("Ready", f"{_READY}.status"),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
        group=names.KEYFERRY_GROUP,
        versions=(Version(names.KEYFERRY_API_VERSION.rpartition("/")[2], storage=True),),
        needs_spec=True,
    ),
)
"""All kinds, in the order in which they are printed."""

_API_VERSION: Final = "Version of the API that the object is written in."
_KIND: Final = "Kind of the object."


def has_legacy_version(kind: Kind) -> bool:
    """Whether a kind had a version before the present one, which can be served to old manifests."""
    return any(version.name == names.LEGACY_VERSION for version in kind.versions)


def crd(kind: Kind, *, serve_legacy: bool = False) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind.

    Args:
        kind: the kind.
        serve_legacy: the version before the present one is served as well, with the same schema.
    """
    versions = [
        version._replace(served=True) if serve_legacy and version.name == names.LEGACY_VERSION else version
        for version in kind.versions
    ]
    called: dict[str, Any] = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.singular,
    }
    if kind.short_names:
        called["shortNames"] = list(kind.short_names)
    called["categories"] = list(kind.categories)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "labels": {names.LABEL_COMPONENT: names.LABEL_COMPONENT_CONTROLLER},
        },
        "spec": {
            "group": kind.group,
            "names": called,
            "scope": kind.scope,
            # All versions have the same schema: nothing is converted.
            "conversion": {"strategy": "None"},
            "versions": [_version(kind, version) for version in versions],
        },
    }


def _version(kind: Kind, version: Version) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": version.name, "served": version.served, "storage": version.storage}
    if version.deprecated:
        entry["deprecated"] = True
    entry["subresources"] = {"status": {}}
    if kind.columns:
        entry["additionalPrinterColumns"] = [
            {"name": column.name, "type": column.type, "jsonPath": column.path} for column in kind.columns
        ]
    # Only where served: the API server takes equal fields of all versions for common ones, and then misses a
    # common schema beside them.
    if kind.selectable and version.served:
        entry["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    root = _root(kind)
    # Texts are the present version's: the whole must fit into kubectl's annotation. But the API server refuses
    # versions that have the same selectable fields and not the same schema.
    whole = version.storage or "selectableFields" in entry
    entry["schema"] = {"openAPIV3Schema": root if whole else without_descriptions(root)}
    return entry


def _root(kind: Kind) -> Schema:
    properties = {
        "apiVersion": {"description": _API_VERSION, "type": "string"},
        "kind": {"description": _KIND, "type": "string"},
        "metadata": {"type": "object"},
        "spec": object_schema(kind.spec),
    }
    if kind.status is not None:
        properties["status"] = object_schema(kind.status)
    required = {"required": ["spec"]} if kind.needs_spec else {}
    return {"description": kind.description, "type": "object", "properties": properties} | required


def file_name(kind: Kind) -> str:
    """Name of the file that holds a kind's definition, such as external-secrets.io_externalsecrets.yaml."""
    return f"{kind.group}_{kind.plural}.yaml"
