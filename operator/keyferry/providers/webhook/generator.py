"""Webhook: whatever an HTTP API answers, one key for each member of the JSON object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from keyferry.aio import FairDoor
from keyferry.api.generators.webhook import WebhookSpec
from keyferry.api.model import Model
from keyferry.clock import Clock
from keyferry.core.generator_spec import check_selectors, spec_path, typed
from keyferry.core.select import select_map
from keyferry.errors import SpecError
from keyferry.ports import ClusterAccess, Generated, GeneratorView
from keyferry.providers.outgoing import Outgoing
from keyferry.providers.webhook.material import Origin, Wanted, gather
from keyferry.providers.webhook.request import Caller, check_request
from keyferry.providers.webhook.result import look_through, members_of
from keyferry.providers.webhook.templates import Chance
from keyferry.secretdata import SecretBytes


class WebhookGenerator:
    """See the module's docstring. Its Secrets are in the ExternalSecret's namespace.

    Args:
        outgoing: the way out.
        clock: the time that templates can tell.
        random_bytes: their randomness.
    """

    kind: ClassVar[str] = "Webhook"
    spec: ClassVar[type[Model]] = WebhookSpec
    stateful: ClassVar[bool] = False

    def __init__(self, outgoing: Outgoing, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._outgoing = outgoing
        self._chance = Chance(clock, random_bytes)
        self._door = FairDoor("webhook-generator", 2)

    def check(self, view: GeneratorView) -> None:
        """See `ports.Generator.check`."""
        spec = typed(view.spec, WebhookSpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        check_selectors(spec, view.key.namespace, path)
        check_request(spec, path, self._outgoing, in_result=False)
        for index, secret in enumerate(spec.secrets):
            if not secret.name or not secret.secret_ref.name:
                raise SpecError(f"{path}.secrets[{index}] must have a name, and name a Secret")

    def keys(self, view: GeneratorView) -> Sequence[str] | None:  # noqa: ARG002 - the port's signature
        """See `ports.Generator.keys`: only the answer tells."""
        return None

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:
        """See `ports.Generator.generate`."""
        spec = typed(view.spec, WebhookSpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        wanted = [
            Wanted(one.name, view.namespace, one.secret_ref.name, f"{path}.secrets[{index}].secretRef")
            for index, one in enumerate(spec.secrets)
        ]
        origin = Origin(spec, path, view.key.namespace, view.namespace)
        material = await gather(origin, wanted, cluster)
        caller = Caller(self._outgoing, material, in_result=False)
        answer = await caller.call(None, self._chance.run(), "", escaped=None)
        field = f"{path}.result.jsonPath"
        members = await look_through(self._door, view.namespace, members_of, answer, field)
        return Generated(select_map(SecretBytes(members)))

    async def cleanup(self, view: GeneratorView, state: bytes, cluster: ClusterAccess) -> None:
        """Nothing to take back: what was made elsewhere is the server's business."""

    async def close(self) -> None:
        """End the connections."""
        self._door.close()
        await self._outgoing.close()
