"""Names of the API that other programs read: groups, labels, annotations, finalizers, field managers.

They are interface, bit for bit: a Secret written by the established operator is recognised by them, and
dashboards, policies and scripts select by them. Constants only; what is hashed into them is core's.
"""

# ruff: noqa: S105 - these constants are names of objects, no passwords

from __future__ import annotations

from typing import Final

GROUP: Final = "external-secrets.io"
"""API group of ExternalSecret, SecretStore, ClusterSecretStore and their like."""
VERSION: Final = "v1"
"""The served and stored version of `GROUP`."""
LEGACY_VERSION: Final = "v1beta1"
"""Listed in the CRDs and not served, so that clusters that have stored it can be updated."""
API_VERSION: Final = f"{GROUP}/{VERSION}"
GENERATORS_GROUP: Final = "generators.external-secrets.io"
GENERATORS_API_VERSION: Final = f"{GENERATORS_GROUP}/v1alpha1"
KEYFERRY_GROUP: Final = "keyferry.io"
"""Group of our own additions: annotations and kinds."""
KEYFERRY_API_VERSION: Final = f"{KEYFERRY_GROUP}/v1alpha1"

EXTERNAL_SECRET: Final = "ExternalSecret"
SECRET_STORE: Final = "SecretStore"
CLUSTER_SECRET_STORE: Final = "ClusterSecretStore"
CLUSTER_EXTERNAL_SECRET: Final = "ClusterExternalSecret"
GENERATOR_STATE: Final = "GeneratorState"
CLUSTER_GENERATOR: Final = "ClusterGenerator"
STORE_POLICY: Final = "StorePolicy"

CATEGORY: Final = "external-secrets"
"""`kubectl get external-secrets` lists all kinds of the group."""
GENERATORS_CATEGORY: Final = "external-secrets-generators"
"""`kubectl get external-secrets-generators` lists all generators."""

# Labels
LABEL_COMPONENT: Final = "external-secrets.io/component"
LABEL_COMPONENT_CONTROLLER: Final = "controller"
"""Value of `LABEL_COMPONENT` on the CRDs."""
LABEL_MANAGED: Final = "reconcile.external-secrets.io/managed"
LABEL_MANAGED_VALUE: Final = "true"
"""Value of `LABEL_MANAGED` on every target Secret that we write."""
LABEL_CREATED_BY: Final = "reconcile.external-secrets.io/created-by"
"""Hash of the owning ExternalSecret's "namespace/name"; only with creationPolicy Owner."""
LABEL_TYPE: Final = "external-secrets.io/type"
LABEL_TYPE_WEBHOOK: Final = "webhook"
"""Value of `LABEL_TYPE` on Secrets that a webhook store may put into its requests."""
LABEL_GENERATOR_OWNER: Final = "generators.external-secrets.io/owner-key"
"""On a GeneratorState: whose it is."""

# Annotations
ANNOTATION_DATA_HASH: Final = "reconcile.external-secrets.io/data-hash"
"""Hash of the data of a target Secret, as last written."""
ANNOTATION_FORCE_SYNC: Final = "external-secrets.io/force-sync"
"""Any new value of it syncs at once; a ClusterExternalSecret passes it on."""
ANNOTATION_IGNORE_MAINTENANCE: Final = "external-secrets.io/ignore-maintenance-checks"
"""On a store: no events about an unmaintained or deprecated provider."""
ANNOTATION_CONTROLLER_CLASS: Final = "keyferry.io/controller-class"
"""On a GeneratorState: the class of the operator that wrote it, and that ends it."""
ANNOTATION_LEASE: Final = "keyferry.io/lease"
"""On a GeneratorState: until when what was made is good, and when more time is asked for, as JSON."""
ANNOTATION_KEYS: Final = "keyferry.io/keys"
"""On a GeneratorState: the keys that were made, as a JSON list, where only the values themselves tell."""
ANNOTATION_PAUSED: Final = "keyferry.io/paused"
ANNOTATION_OPTIONAL_KEYS: Final = "keyferry.io/optional-keys"
"""Names, parted by commas, of entries that may be missing at the store without failing the object."""
PAUSED_VALUE: Final = "true"
"""Value of `ANNOTATION_PAUSED` that stops work on the object."""

# Finalizers
FINALIZER_EXTERNAL_SECRET: Final = "externalsecrets.external-secrets.io/externalsecret-cleanup"
FINALIZER_CLUSTER_EXTERNAL_SECRET: Final = "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup"
FINALIZER_NAMESPACE_PREFIX: Final = "externalsecrets.external-secrets.io/ces-"
"""On a Namespace, followed by the name of the ClusterExternalSecret that writes into it."""
FINALIZER_PUSH_SECRET: Final = "pushsecret.externalsecrets.io/finalizer"
FINALIZER_STORE: Final = "secretstore.externalsecrets.io/finalizer"
"""On a store that a PushSecret with deletionPolicy Delete needs for its cleanup."""
FINALIZER_GENERATOR_STATE: Final = "generatorstate.externalsecrets.io/finalizer"

# Field managers
FIELD_MANAGER_PREFIX: Final = "externalsecrets.external-secrets.io/"
"""Field manager of a target Secret: this and the ExternalSecret's name."""
FIELD_MANAGER_MAX_CHARS: Final = 63
"""Longest field manager made of the plain name. The prefix counts, so names of up to 27 characters fit."""
FIELD_MANAGER_HASH_PREFIX: Final = "externalsecrets.external-secrets.io/sha3/"
"""Field manager where the plain one is too long: this and the hex SHA3-224 of the name."""

EVENT_SOURCE_EXTERNAL_SECRET: Final = "external-secrets"
EVENT_SOURCE_SECRET_STORE: Final = "secret-store"
EVENT_SOURCE_CLUSTER_SECRET_STORE: Final = "cluster-secret-store"
EVENT_SOURCE_CLUSTER_EXTERNAL_SECRET: Final = "cluster-external-secret"
EVENT_SOURCE_GENERATOR_STATE: Final = "generator-state"
EVENT_SOURCE_PUSH_SECRET: Final = "pushsecret"

SERVICE_ACCOUNT_TOKEN_TYPE: Final = "kubernetes.io/service-account-token"
"""Secret type that makes the cluster issue a long-lived token: a template must not ask for it freely."""
BOOTSTRAP_TOKEN_TYPE: Final = "bootstrap.kubernetes.io/token"
"""Secret type that lets nodes join the cluster: a template must never ask for it."""
SERVICE_ACCOUNT_NAME_ANNOTATION: Final = "kubernetes.io/service-account.name"
"""Names the ServiceAccount that a Secret of `SERVICE_ACCOUNT_TOKEN_TYPE` is for."""
SERVICE_ACCOUNT_UID_ANNOTATION: Final = "kubernetes.io/service-account.uid"
"""Its uid."""
