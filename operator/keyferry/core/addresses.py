"""Which addresses a store may name. Tenants choose them, and the operator's network is not theirs.

Loopback, link-local, metadata services and their like are refused: by the text of the address here, and
again for what its name resolves to, right before the connection is made.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from keyferry.errors import ForbiddenError, SpecError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA_ADDRESSES: Final[Mapping[IPAddress, str]] = {
    ipaddress.ip_address("169.254.169.254"): "cloud metadata service",
    ipaddress.ip_address("169.254.170.2"): "AWS container credentials",
    ipaddress.ip_address("169.254.170.23"): "AWS Pod Identity agent",
    ipaddress.ip_address("fd00:ec2::254"): "AWS metadata service",
    ipaddress.ip_address("fd00:ec2::23"): "AWS Pod Identity agent",
    ipaddress.ip_address("fd20:ce::254"): "Google metadata service",
    ipaddress.ip_address("100.100.100.200"): "Alibaba Cloud metadata service",
    ipaddress.ip_address("192.0.0.192"): "Oracle Cloud metadata service",
    ipaddress.ip_address("168.63.129.16"): "Azure platform service",
}
_METADATA_NAMES: Final = frozenset(
    {"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"}
)
_HINT: Final = "A platform owner may allow it with --allow-address"


class AddressPolicy:
    """What may be connected to.

    Args:
        allowed: host names, addresses and networks (CIDR) that are let through all the same.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for entry in allowed:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._names.add(_normal(entry))

    def check_host(self, host: str, where: str) -> None:
        """Check a host as it is written.

        Args:
            where: the field, for the error.

        Raises:
            ForbiddenError: it is an address or name that stores may not name.
        """
        name = _normal(host)
        if name in self._names:
            return
        literal = _literal(name)
        if literal is not None:
            self.check_ip(literal, host, where)
        elif name == "localhost" or name.endswith(".localhost"):
            raise _refused(where, host, "this machine")
        elif name in _METADATA_NAMES:
            raise _refused(where, host, "a metadata service")

    def check_resolved(self, addresses: Iterable[str], host: str, where: str) -> None:
        """Check what a name resolves to: one forbidden address among them is one too many.

        Raises:
            ForbiddenError: see `check_host`.
        """
        if _normal(host) in self._names:
            return
        for address in addresses:
            literal = _literal(address)
            if literal is not None:
                self.check_ip(literal, host, where)

    def check_ip(self, address: IPAddress, host: str, where: str) -> None:
        """Check one address.

        Raises:
            ForbiddenError: see `check_host`.
        """
        if any(address in network for network in self._networks if network.version == address.version):
            return
        plain = _unwrapped(address)
        if plain != address and any(plain in n for n in self._networks if n.version == plain.version):
            return
        if plain in _METADATA_ADDRESSES:
            raise _refused(where, host, f"the {_METADATA_ADDRESSES[plain]}")
        if plain.is_loopback or plain.is_unspecified:
            raise _refused(where, host, "this machine")
        if plain.is_link_local:
            raise _refused(where, host, "a link-local address")
        if plain.is_multicast or (plain.version == 4 and plain == ipaddress.ip_address("255.255.255.255")):
            raise _refused(where, host, "no single host")


def _refused(where: str, host: str, what: str) -> ForbiddenError:
    return ForbiddenError(f'{where}: "{host[:200]}" is {what}, which a store may not name', hint=_HINT)


def _normal(host: str) -> str:
    """The host as resolvers read it: full-width digits and dots are digits and dots (RFC 3490)."""
    plain = unicodedata.normalize("NFKC", host).replace("\u3002", ".")
    return plain.strip().strip("[]").rstrip(".").lower()


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


_WRAPPING: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "::/96",  # IPv4-compatible (RFC 4291)
        "::ffff:0:0:0/96",  # translated (RFC 2765)
        "64:ff9b::/96",  # NAT64 (RFC 6052)
    )
)
"""Networks whose addresses end in an IPv4 address."""
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")


def _unwrapped(address: IPAddress) -> IPAddress:
    """The IPv4 address inside an IPv6 one that only wraps it: mapped, compatible, 6to4, Teredo, SIIT, NAT64."""
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback or address.is_unspecified:
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    number = int(address)
    if any(address in network for network in _WRAPPING):
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address in _LOCAL_NAT64:
        # For networks to divide (RFC 8215): in a /96 the IPv4 address is at the end, in the /48 itself
        # it is around a byte of zeros (RFC 6052).
        around = ((number >> 64) & 0xFFFF) << 16 | ((number >> 40) & 0xFFFF)
        return ipaddress.IPv4Address((number & 0xFFFFFFFF) or around)
    return address


_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "azurekv": (
        "vault_url",
        "custom_cloud_config.active_directory_endpoint",
        "custom_cloud_config.key_vault_endpoint",
        "custom_cloud_config.resource_manager_endpoint",
    ),
    "gcpsm": ("auth.workload_identity_federation.external_token_endpoint",),
    "gitlab": ("url",),
    "kubernetes": ("server.url",),
    "openBao": ("server",),
    "vault": ("server",),
    "webhook": ("url",),
}
"""The fields of typed provider blocks that hold an address."""
_TEMPLATED: Final = frozenset({"webhook"})
"""Providers whose addresses are templates. Elsewhere braces are text, and must not hide a host."""


def addresses_of(provider: str, block: Any) -> list[tuple[str, str]]:
    """(field, host) of every address that a store's block names.

    Raises:
        SpecError: one is no address at all.
    """
    found = []
    for path in _FIELDS.get(provider, ()):
        value = block
        for name in path.split("."):
            value = getattr(value, name, None)
        if isinstance(value, str) and value:
            field = f"spec.provider.{provider}.{_camel(path)}"
            found.append((field, host_of(value, field, templated=provider in _TEMPLATED)))
    return [(field, host) for field, host in found if host]


_TEMPLATE: Final = re.compile(r"\{\{.*?(?:\}\}|\Z)", re.DOTALL)
_MADE: Final = "\0"
"""Stands where a template will make text."""
_SCHEME: Final = re.compile(rf"[A-Za-z{_MADE}][A-Za-z0-9+.{_MADE}-]*")
_END_OF_AUTHORITY: Final = re.compile(r"[/?#\\]")


def host_of(address: str, field: str, *, templated: bool = False) -> str:
    """The host in a URL, or in an address without a scheme; empty where a template stands for it.

    Raises:
        SpecError: it cannot be read, or might be read in another way by somebody else.
    """
    unreadable = SpecError(f"{field} is not an address that can be read")
    if _MADE in address:
        raise unreadable
    text = _TEMPLATE.sub(_MADE, address) if templated else address
    scheme, separator, rest = text.partition("://")
    if not separator or _END_OF_AUTHORITY.search(scheme):
        # One further on belongs to a path or query.
        scheme, separator, rest = "", "", text
    elif _SCHEME.fullmatch(scheme) is None:
        raise unreadable
    authority = _END_OF_AUTHORITY.split(rest, maxsplit=1)[0]
    if _MADE in authority:
        return ""  # made by a template later, and checked then
    if rest[len(authority) :].startswith("\\"):
        raise unreadable  # some read it as a slash
    if not separator and authority.endswith(":"):
        raise unreadable  # a scheme without its slashes
    try:
        parts = urlsplit(f"//{authority}")
        host, _ = parts.hostname, parts.port  # what follows a colon and is no port may be a host to others
    except ValueError:
        raise unreadable from None
    if not host:
        raise SpecError(f"{field} names no host")
    return host


def _camel(path: str) -> str:
    head, *rest = path.replace(".", "_.").split("_")
    camel = head + "".join(part if part.startswith(".") else part.capitalize() for part in rest)
    return ".".join(p[:1].lower() + p[1:] for p in camel.split("."))
