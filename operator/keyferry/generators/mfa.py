"""MFA: the one-time password of a moment, by RFC 6238, from a seed in a Secret."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from keyferry.api.generators.local import DEFAULT_MFA_LENGTH, DEFAULT_MFA_PERIOD, MFASpec
from keyferry.api.model import Model
from keyferry.clock import Clock
from keyferry.core.generator_spec import check_selectors, spec_path, typed, value_of, where
from keyferry.errors import AuthFailed, SpecError
from keyferry.generators.offline import Offline
from keyferry.ports import ClusterAccess, Generated, GeneratorView
from keyferry.secretdata import SecretBytes, SecretData

MAX_DIGITS: Final = 10
"""The number that a token is made of has 31 bits: further digits would be zeros in front."""
_HASHES: Final[Mapping[str, Callable[[], Any]]] = {
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
}


def totp(seed: bytes, seconds: int, *, digits: int, period: int, algorithm: str) -> tuple[str, int]:
    """The token of a moment, and the seconds that it is good for from then on (RFC 6238, RFC 4226).

    Args:
        seed: the shared secret, decoded.
        seconds: the moment, since the epoch.
        algorithm: one of `sha1`, `sha256`, `sha384`, `sha512`.
    """
    counter = seconds // period
    mac = hmac.digest(seed, counter.to_bytes(8, "big", signed=True), _HASHES[algorithm])
    offset = mac[-1] & 0x0F
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits), period - seconds % period


class MFAGenerator(Offline):
    """See the module's docstring.

    Args:
        clock: tells the moment where the spec names none.
    """

    kind: ClassVar[str] = "MFA"
    spec: ClassVar[type[Model]] = MFASpec

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def check(self, view: GeneratorView) -> None:
        """See `ports.Generator.check`."""
        spec = typed(view.spec, MFASpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        check_selectors(spec, view.key.namespace, path)
        if spec.length > MAX_DIGITS:
            raise SpecError(f"{path}.length must be at most {MAX_DIGITS}")
        if _algorithm(spec) not in _HASHES:
            raise SpecError(
                f'{path}.algorithm: "{spec.algorithm[:40]}" is not known',
                hint=f"Use one of {', '.join(_HASHES)}",
            )
        if spec.when is not None:
            _moment(spec.when, path)

    def keys(self, view: GeneratorView) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        """See `ports.Generator.keys`."""
        return ("token", "timeLeft")

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:
        """See `ports.Generator.generate`."""
        spec = typed(view.spec, MFASpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        namespace = where(spec.secret, view.key.namespace, view.namespace)
        found = await cluster.read_secret(namespace, spec.secret.name)
        seed = _decoded(value_of(found.data, spec.secret, namespace))
        if seed is None:
            raise AuthFailed(
                f'key "{spec.secret.key}" of Secret "{namespace}/{spec.secret.name}" is no base32 text',
                hint="Write the seed as the provider shows it beside its QR code",
            )
        moment = self._clock.now() if spec.when is None else _moment(spec.when, path)
        token, left = totp(
            seed,
            int(moment.timestamp() // 1),
            digits=spec.length if spec.length > 0 else DEFAULT_MFA_LENGTH,
            period=spec.time_period if spec.time_period > 0 else DEFAULT_MFA_PERIOD,
            algorithm=_algorithm(spec),
        )
        return Generated(SecretData({"token": token, "timeLeft": str(left)}))


def _algorithm(spec: MFASpec) -> str:
    """As RFCs and providers write it: SHA1, sha-1, sha1."""
    return spec.algorithm.lower().replace("-", "") or "sha1"


def _moment(when: str, path: str) -> datetime:
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        raise SpecError(
            f"{path}.when is no moment as RFC 3339 writes it", hint='Write "2026-01-31T12:00:00Z"'
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _decoded(value: SecretBytes) -> bytes | None:
    """The seed; None where the text is no base32. Providers put blanks into it, and leave out its padding."""
    text = b"".join(value.reveal().split()).upper().rstrip(b"=")
    try:
        return base64.b32decode(text + b"=" * (-len(text) % 8)) or None
    except binascii.Error:
        return None
