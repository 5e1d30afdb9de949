"""What a request is made of besides its manifest: Secrets for its templates, and the server's CA.

Only Secrets that are labelled for it: whoever may write a store must not send any Secret anywhere.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from keyferry.api import names
from keyferry.api.model import Model
from keyferry.api.providers.webhook import WebhookRequest
from keyferry.errors import BACKOFF, ForbiddenError
from keyferry.gotemplate import StringMap
from keyferry.ports import ClusterAccess, SecretObject
from keyferry.providers.trust import Trust, context_of
from keyferry.secretdata import SecretData

NEEDED: Final = f"{names.LABEL_TYPE}: {names.LABEL_TYPE_WEBHOOK}"
"""The label that a Secret needs."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A request as its manifest has it.

    Args:
        spec: the block that holds it.
        path: of that block, for errors.
        own: namespace of the manifest; empty for a cluster-scoped one.
        referent: namespace of the ExternalSecret.
    """

    spec: WebhookRequest
    path: str
    own: str
    referent: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A Secret that a manifest names.

    Args:
        name: its name in templates.
        field: where the manifest names it.
    """

    name: str
    namespace: str
    secret: str
    field: str


@dataclass(frozen=True, slots=True)
class Material:
    """A request, and all that it is made of.

    Args:
        spec: the manifest's block.
        path: of that block, for errors.
        secrets: what templates can use: data of Secrets, by their names in templates.
        tls: whom to believe; the system's authorities if None.
        fingerprint: hash over all of it.
    """

    spec: WebhookRequest
    path: str
    secrets: Sequence[tuple[str, SecretData]] = field(repr=False)
    tls: ssl.SSLContext | None = field(repr=False)
    fingerprint: str

    def data(self, reference: Mapping[str, str] | None) -> dict[bytes, StringMap]:
        """What templates can use.

        Args:
            reference: `remoteRef`; None where there is none.
        """
        found: dict[bytes, StringMap] = {}
        if reference is not None:
            found[b"remoteRef"] = StringMap(
                {key.encode(): value.encode("utf-8", "surrogatepass") for key, value in reference.items()}
            )
        for name, data in self.secrets:
            inner = found.setdefault(name.encode(), StringMap())
            inner.update({key.encode(): value.reveal() for key, value in data.items()})
        return found


async def gather(origin: Origin, wanted: Sequence[Wanted], cluster: ClusterAccess) -> Material:
    """Read what a request is made of.

    Args:
        wanted: the Secrets that it names.

    Raises:
        ForbiddenError: a Secret lacks the label.
        SpecError: the CA is none.
        KubeError: one of them cannot be read.
    """
    secrets = []
    for one in wanted:
        found = await cluster.read_secret(one.namespace, one.secret)
        _check_label(one, found)
        secrets.append((one.name, found.data))
    spec, path = origin.spec, origin.path
    pem = await Trust(spec.ca_bundle, spec.ca_provider, path).read(origin.own, origin.referent, cluster)
    places = [(one.namespace, one.secret) for one in wanted]
    return Material(spec, path, secrets, context_of(pem, path), _fingerprint(spec, places, secrets, pem))


def _check_label(wanted: Wanted, found: SecretObject) -> None:
    if found.labels.get(names.LABEL_TYPE) != names.LABEL_TYPE_WEBHOOK:
        raise ForbiddenError(
            f'{wanted.field}: Secret "{wanted.namespace}/{wanted.secret}" has no label "{NEEDED}"',
            hint="Its owner has to set the label, and so allow that it is sent in requests",
            retry=BACKOFF,
        )


def _fingerprint(
    spec: Model,
    places: Sequence[tuple[str, str]],
    secrets: Sequence[tuple[str, SecretData]],
    pem: bytes,
) -> str:
    values = [
        (name, sorted((key, hashlib.sha256(value.reveal()).digest()) for key, value in data.items()))
        for name, data in secrets
    ]
    text = msgspec.msgpack.encode((type(spec).__name__, spec, places, values, pem))
    return hashlib.sha256(b"webhook\0" + text).hexdigest()
