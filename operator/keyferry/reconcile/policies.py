"""The StorePolicies there are, compiled, and by store: what they let in, asked before anything else.

Closed at first: what nobody has told of yet may forbid. `listed` opens, `unserved` does where the cluster
has no such kind, and `refused` closes again. Records only; who is woken is `store_policy`'s business.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from keyferry.api.model import decode
from keyferry.api.store_policy import StorePolicyStatus
from keyferry.core.store_policy import Action, Admission, Policy, admission, compile_policy
from keyferry.errors import InternalError, NotReadyError
from keyferry.kube.watch import Partial
from keyferry.ports import ObjectKey

log = logging.getLogger(__name__)

MOST_ADMISSIONS: Final = 4096
"""So many are kept: one for each store and namespace in use."""
Labels = Mapping[str, str]


@dataclass(slots=True)
class PolicyRecord:
    """A StorePolicy as last seen.

    Args:
        status: the status' JSON, as last seen or written.
    """

    uid: str
    generation: int
    resource_version: str
    status: bytes
    policy: Policy
    duration_s: float = 0.0

    def read_status(self) -> StorePolicyStatus:
        """Its status; an unreadable one counts as empty."""
        try:
            return decode(self.status, StorePolicyStatus)
        except msgspec.DecodeError:
            return StorePolicyStatus()


def _compiled(name: str, spec: bytes) -> Policy:
    try:
        return compile_policy(name, spec)
    except Exception as error:
        # Or what it forbids would be let in.
        log.exception("a bug in Keyferry")
        return Policy(name, everything=True, problem=str(InternalError.of(error)))


class StorePolicies:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.records: dict[ObjectKey, PolicyRecord] = {}
        self.told: dict[ObjectKey, tuple[Policy, ...]] = {}
        """Which policies select a store, as those who use it were told last."""
        self.settled = asyncio.Event()
        """Set as soon as they are known, or known to be kept from us."""
        self.known = False
        self._cause = "they have not been listed yet"
        self._of: dict[ObjectKey, tuple[Labels, tuple[Policy, ...]]] = {}
        self._admissions: OrderedDict[
            tuple[ObjectKey, str, Action], tuple[tuple[Policy, ...], Labels | None, Admission]
        ] = OrderedDict()

    # -- told by the watch

    def listed(self) -> None:
        """All that there are have been noted."""
        self.known, self._cause = True, ""
        self.settled.set()

    def unserved(self) -> None:
        """The API server has no such kind. What was known before stays in force."""
        if not self.records:
            self.listed()

    def refused(self, error: Exception) -> None:
        """We are not let see them: what there is may forbid."""
        self.known, self._cause = False, str(error)
        self.settled.set()

    def note(self, key: ObjectKey, found: Partial) -> bool:
        """Take over what the watch says of a policy; whether it is new, or its spec changed."""
        meta = found.metadata
        record = self.records.get(key)
        status = bytes(found.status)
        if record is not None and (record.uid, record.generation) == (meta.uid, meta.generation):
            record.resource_version, record.status = meta.resource_version, status
            return False
        policy = _compiled(key.name, bytes(found.spec))
        self.records[key] = PolicyRecord(meta.uid, meta.generation, meta.resource_version, status, policy)
        self._of.clear()
        return True

    def forget(self, key: ObjectKey) -> bool:
        """A policy is gone; whether it was known."""
        self._of.clear()
        return self.records.pop(key, None) is not None

    # -- asked

    def check_known(self) -> None:
        """Check that all policies are known.

        Raises:
            NotReadyError: they are not; nothing may be read of a ClusterSecretStore then.
        """
        if not self.known:
            raise NotReadyError(
                f"no ClusterSecretStore is read before the StorePolicies are known: {self._cause}",
                hint="The operator needs list and watch on storepolicies.keyferry.io, as deploy/rbac grants them",
            )

    def of(self, store: ObjectKey, labels: Labels) -> tuple[Policy, ...]:
        """The policies that select a ClusterSecretStore with these labels, by their names."""
        kept = self._of.get(store)
        if kept is not None and kept[0] == labels:
            return kept[1]
        chosen = sorted(
            (one.policy for one in self.records.values() if one.policy.selects(store.name, labels)),
            key=lambda policy: policy.name,
        )
        self._of[store] = labels, tuple(chosen)
        return self._of[store][1]

    def admission(
        self,
        store: ObjectKey,
        policies: tuple[Policy, ...],
        namespace: str,
        labels: Labels | None,
        action: Action = Action.READ,
    ) -> Admission:
        """What these policies let a namespace do with a store.

        Args:
            policies: what `of` gives, not empty.
            labels: of the namespace; None where they are not known.
        """
        place = store, namespace, action
        kept = self._admissions.get(place)
        if kept is not None and kept[0] is policies and kept[1] == labels:
            self._admissions.move_to_end(place)
            return kept[2]
        made = admission(policies, namespace, labels, action)
        self._admissions[place] = policies, labels, made
        self._admissions.move_to_end(place)
        while len(self._admissions) > MOST_ADMISSIONS:
            self._admissions.popitem(last=False)
        return made
