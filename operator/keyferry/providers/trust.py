"""Whom to believe over TLS, where a manifest says so: caBundle, or a Secret or ConfigMap named by caProvider."""

from __future__ import annotations

import base64
import binascii
import ssl
from dataclasses import dataclass

from keyferry.api.meta import CAProvider
from keyferry.core.stores import effective_namespace
from keyferry.errors import ForbiddenError, SpecError
from keyferry.ports import ClusterAccess

_PEM = b"-----BEGIN"


@dataclass(frozen=True, slots=True)
class Trust:
    """What a manifest says about certificate authorities.

    Args:
        bundle: caBundle: PEM in base64; it goes first.
        provider: caProvider.
        path: of the block that holds both, for errors.
    """

    bundle: str
    provider: CAProvider | None
    path: str

    async def read(self, own: str, referent: str, cluster: ClusterAccess) -> bytes:
        """The certificates as PEM; empty where the manifest names none.

        Args:
            own: namespace of the manifest; empty for a cluster-scoped one.
            referent: namespace of the ExternalSecret.

        Raises:
            SpecError: they are none, or are not there.
            ForbiddenError: caProvider names no namespace, and there is none to take.
            KubeError: the Secret or ConfigMap cannot be read.
        """
        if self.bundle:
            return self._decoded()
        if self.provider is None:
            return b""
        namespace = effective_namespace(self.provider, own, referent)
        if not namespace:
            raise ForbiddenError(f"{self.path}.caProvider names no namespace", hint="Set its namespace")
        name, key = self.provider.name, self.provider.key
        if self.provider.type == "ConfigMap":
            text = (await cluster.read_config_map(namespace, name)).get(key, "").encode()
        else:
            found = (await cluster.read_secret(namespace, name)).data.get(key)
            text = b"" if found is None else found.reveal()
        if _PEM not in text:
            raise SpecError(
                f'{self.provider.type} "{namespace}/{name}" has no certificate under the key "{key}"',
                hint=f"{self.path}.caProvider needs one as PEM",
            )
        return text

    def _decoded(self) -> bytes:
        found = self.bundle.encode()
        for _ in range(2):  # some tools encode what is encoded already
            try:
                found = base64.b64decode(b"".join(found.split()), validate=True)
            except binascii.Error:
                break
            if _PEM in found:
                return found
        raise SpecError(f"{self.path}.caBundle is no certificate as PEM in base64")


def context_of(pem: bytes, path: str) -> ssl.SSLContext | None:
    """What checks servers by these authorities and no others; None where there are none.

    Raises:
        SpecError: they are no certificates.
    """
    if not pem:
        return None
    try:
        context = ssl.create_default_context(cadata=pem.decode("ascii", "replace"))
    except ssl.SSLError:
        raise SpecError(f"{path}: the certificate authority is no certificate as PEM") from None
    # From Python 3.13 on strict by default: it refuses authorities without key identifiers, which older tools
    # make and every other client accepts.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
