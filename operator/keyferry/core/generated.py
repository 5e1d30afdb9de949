"""Generated values: which of them a Secret still holds, so that they are kept instead of made anew.

A generated value is a secret that exists nowhere else: it is made once, and again only when its refresh
is due, its data was changed, or the Secret is gone. Nothing that happens to labels, to other keys or to
the object itself is a reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from keyferry.api import names
from keyferry.core.desired import ExistingSecret, Owner, is_intact
from keyferry.core.hashing import created_by_hash, field_manager
from keyferry.core.ownership import owned_by_siblings, owned_fields
from keyferry.secretdata import SecretBytes


def kept_values(existing: ExistingSecret, owner: Owner, keys: Sequence[str]) -> dict[str, SecretBytes] | None:
    """The values under these keys as we wrote them; None where one is gone, or may have been changed.

    A key is unchanged if its field is still owned by our manager (the API server takes it away from us
    where another writer changes the value), or if the whole data is as its hash says and the Secret ours,
    or nobody's: one that was restored from a backup has lost its managers.
    """
    managed = existing.metadata.get("managedFields") or []
    ours = owned_fields(managed, field_manager(owner.name)).data
    unowned = names.LABEL_CREATED_BY not in existing.labels and is_intact(existing)
    others = owned_by_siblings(managed, field_manager(owner.name)) if unowned else frozenset()
    unchanged = ours | (existing.data.keys() - others) if unowned or is_whole(existing, owner) else ours
    if not all(key in existing.data and key in unchanged for key in keys):
        return None
    return {key: existing.data[key] for key in keys}


def is_whole(existing: ExistingSecret, owner: Owner) -> bool:
    """Whether the Secret is this owner's, and its data just what was written."""
    created_by = existing.labels.get(names.LABEL_CREATED_BY)
    return created_by == created_by_hash(owner.namespace, owner.name) and is_intact(existing)
