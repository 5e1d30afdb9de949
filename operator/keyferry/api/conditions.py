"""Condition types and reasons, and the condition itself as the status holds it.

Types and reasons are interface: other people's dashboards and health checks read them. Messages are for
people and are made in core.
"""

# ruff: noqa: S105 - these constants are reasons, no passwords

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from keyferry.api.model import Model, schema

READY: Final = "Ready"
"""The one condition that says whether the object does its job."""
DELETED: Final = "Deleted"
"""Known to the API of ExternalSecret; nothing sets it today."""

TRUE: Final = "True"
FALSE: Final = "False"
UNKNOWN: Final = "Unknown"

# Reasons of an ExternalSecret's Ready condition
SECRET_SYNCED: Final = "SecretSynced"
"""True: the target holds what the store holds, or is kept because deletionPolicy says so."""
SECRET_SYNCED_ERROR: Final = "SecretSyncedError"
"""False: the last sync failed; the message says why, the last good Secret stays."""
SECRET_DELETED: Final = "SecretDeleted"
"""True: the store no longer has the secret, and deletionPolicy Delete removed the target."""
SECRET_MISSING: Final = "SecretMissing"
"""True: creationPolicy Merge, and there is no Secret to merge into."""

PAUSED: Final = "Paused"
"""Unknown: an object that was never synced is paused. Also the reason of the event that says so."""

# The same for targets that are no Secret
RESOURCE_SYNCED: Final = "ResourceSynced"
RESOURCE_SYNCED_ERROR: Final = "ResourceSyncedError"
RESOURCE_DELETED: Final = "ResourceDeleted"
RESOURCE_MISSING: Final = "ResourceMissing"

# Reasons of a store's Ready condition
STORE_VALID: Final = "Valid"
"""True: the identity was proven to the store."""
STORE_INVALID_PROVIDER_CONFIG: Final = "InvalidProviderConfig"
"""False: no client could be made, or the store refused it."""
STORE_VALIDATION_UNKNOWN: Final = "ValidationUnknown"
"""True: cannot be told in general, for example because each ExternalSecret brings its own identity."""
STORE_INVALID_CONFIGURATION: Final = "InvalidStoreConfiguration"
"""False: the spec itself is wrong. Part of the API; today's writers use InvalidProviderConfig."""
STORE_VALIDATION_FAILED: Final = "ValidationFailed"
"""False: part of the API; today's writers use InvalidProviderConfig."""

# Reasons of a StorePolicy's Ready condition; a good one has STORE_VALID
STORE_POLICY_INVALID: Final = "InvalidPolicy"
"""False: the policy cannot be used, and lets nothing in."""

# Reasons of events
EVENT_CREATED: Final = "Created"
EVENT_UPDATED: Final = "Updated"
EVENT_DELETED: Final = "Deleted"
EVENT_MISSING_PROVIDER_SECRET: Final = "MissingProviderSecret"
"""A remote secret does not exist, and deletionPolicy is not Retain."""
EVENT_GENERATED: Final = "Generated"
"""A generator made new values although their refresh was not due: their Secret was deleted or changed."""
EVENT_CLEANUP_FAILED: Final = "CleanupFailed"
"""What a generator made elsewhere could not be taken back. Also the reason of a GeneratorState's condition."""
EVENT_LEASE_NOT_RENEWED: Final = "LeaseNotRenewed"
"""The lease of what a generator made elsewhere could not be renewed so far, and its end is near."""
EVENT_KEY_COLLISION: Final = "KeyCollision"
"""A rewrite gave two keys the same name, and one value was lost."""
EVENT_UPDATE_FAILED: Final = "UpdateFailed"
"""The one warning of an ExternalSecret."""
EVENT_PARAMETER_DEPRECATED: Final = "ParameterDeprecated"
EVENT_STORE_UNMAINTAINED: Final = "StoreUnmaintained"
EVENT_STORE_DEPRECATED: Final = "StoreDeprecated"


class Condition(Model, frozen=True, kw_only=True):
    """One aspect of an object's state."""

    type: str
    """The aspect; Ready says whether the object does its job."""
    status: str
    """True, False or Unknown."""
    reason: str = ""
    """Why, in one word that programs can read."""
    message: str = ""
    """Why, for people."""
    last_transition_time: Annotated[str, schema(format="date-time")] = ""
    """When the status last changed."""
    observed_generation: Annotated[int | None, schema(format="int64")] = None
    """The metadata.generation that this condition speaks of."""


class ExternalSecretCondition(Condition, frozen=True, kw_only=True):
    """One aspect of an ExternalSecret's state."""

    type: Annotated[str, msgspec.Meta(extra_json_schema={"enum": [READY, DELETED]})]
    """Ready says whether the target holds what the store holds."""
