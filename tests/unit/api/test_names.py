"""Names that other programs read, bit for bit as the public API documents them."""

from __future__ import annotations

import pytest

from keyferry.api import conditions, names

NAMES = {
    "API_VERSION": "external-secrets.io/v1",
    "GENERATORS_API_VERSION": "generators.external-secrets.io/v1alpha1",
    "LABEL_MANAGED": "reconcile.external-secrets.io/managed",
    "LABEL_MANAGED_VALUE": "true",
    "LABEL_CREATED_BY": "reconcile.external-secrets.io/created-by",
    "LABEL_COMPONENT": "external-secrets.io/component",
    "LABEL_COMPONENT_CONTROLLER": "controller",
    "LABEL_TYPE": "external-secrets.io/type",
    "LABEL_TYPE_WEBHOOK": "webhook",
    "LABEL_GENERATOR_OWNER": "generators.external-secrets.io/owner-key",
    "ANNOTATION_DATA_HASH": "reconcile.external-secrets.io/data-hash",
    "ANNOTATION_FORCE_SYNC": "external-secrets.io/force-sync",
    "ANNOTATION_IGNORE_MAINTENANCE": "external-secrets.io/ignore-maintenance-checks",
    "ANNOTATION_PAUSED": "keyferry.io/paused",
    "FINALIZER_EXTERNAL_SECRET": "externalsecrets.external-secrets.io/externalsecret-cleanup",
    "FINALIZER_CLUSTER_EXTERNAL_SECRET": "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup",
    "FINALIZER_NAMESPACE_PREFIX": "externalsecrets.external-secrets.io/ces-",
    "FINALIZER_PUSH_SECRET": "pushsecret.externalsecrets.io/finalizer",
    "FINALIZER_STORE": "secretstore.externalsecrets.io/finalizer",
    "FINALIZER_GENERATOR_STATE": "generatorstate.externalsecrets.io/finalizer",
    "FIELD_MANAGER_PREFIX": "externalsecrets.external-secrets.io/",
    "FIELD_MANAGER_HASH_PREFIX": "externalsecrets.external-secrets.io/sha3/",
    "FIELD_MANAGER_MAX_CHARS": 63,
    "EVENT_SOURCE_EXTERNAL_SECRET": "external-secrets",
    "EVENT_SOURCE_SECRET_STORE": "secret-store",
    "EVENT_SOURCE_CLUSTER_SECRET_STORE": "cluster-secret-store",
    "EVENT_SOURCE_PUSH_SECRET": "pushsecret",
    "SERVICE_ACCOUNT_TOKEN_TYPE": "kubernetes.io/service-account-token",
    "BOOTSTRAP_TOKEN_TYPE": "bootstrap.kubernetes.io/token",
    "SERVICE_ACCOUNT_NAME_ANNOTATION": "kubernetes.io/service-account.name",
}
REASONS = {
    "SECRET_SYNCED": "SecretSynced",
    "SECRET_SYNCED_ERROR": "SecretSyncedError",
    "SECRET_DELETED": "SecretDeleted",
    "SECRET_MISSING": "SecretMissing",
    "RESOURCE_SYNCED": "ResourceSynced",
    "RESOURCE_SYNCED_ERROR": "ResourceSyncedError",
    "RESOURCE_DELETED": "ResourceDeleted",
    "RESOURCE_MISSING": "ResourceMissing",
    "STORE_VALID": "Valid",
    "STORE_INVALID_PROVIDER_CONFIG": "InvalidProviderConfig",
    "STORE_VALIDATION_UNKNOWN": "ValidationUnknown",
    "EVENT_CREATED": "Created",
    "EVENT_UPDATED": "Updated",
    "EVENT_DELETED": "Deleted",
    "EVENT_MISSING_PROVIDER_SECRET": "MissingProviderSecret",
    "EVENT_UPDATE_FAILED": "UpdateFailed",
    "EVENT_PARAMETER_DEPRECATED": "ParameterDeprecated",
    "EVENT_STORE_UNMAINTAINED": "StoreUnmaintained",
    "EVENT_STORE_DEPRECATED": "StoreDeprecated",
    "READY": "Ready",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_exactly_this(name):
    assert NAMES[name] == getattr(names, name)


@pytest.mark.parametrize("name", REASONS)
def test_a_reason_is_exactly_this(name):
    assert REASONS[name] == getattr(conditions, name)
