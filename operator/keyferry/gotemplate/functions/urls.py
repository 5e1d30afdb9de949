"""Sprig's functions on URLs.

Rules: Go's package net/url. Where its errors quote the URL, ours do not: a URL may hold a password.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.values import Value, kind_of

group = FunctionGroup("URLs")

_READ_PER_STEP: Final = 16
_LONGEST_ADDRESS: Final = 45
_CONTROL: Final = re.compile(rb"[\0-\x1f\x7f]")
_SCHEME: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*+):")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ASCII_ESCAPE: Final = re.compile(rb"%(?!25)[0-7]")
_PORT: Final = re.compile(rb"(?::[0-9]*)?")
_USERINFO: Final = re.compile(rb"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")

_UNRESERVED: Final = string.ascii_letters + string.digits + "-_.~"
_HOST: Final = (_UNRESERVED + "!$&'()*+,;=:[]<>\"").encode()
_NOT_IN_HOST: Final = re.compile(rb"[^%b%%\x80-\xff]" % re.escape(_HOST))


class _Escaping:
    """How one part of a URL is written.

    Args:
        kept: characters that stay as they are.
    """

    def __init__(self, kept: str) -> None:
        self._kept = kept.encode()
        self._escaped = re.compile(rb"[^%b]" % re.escape(self._kept))

    def escape(self, run: Run, text: bytes) -> bytes:
        """The text with %XX for all other bytes."""
        run.charge(len(text))
        count = len(text.translate(None, self._kept))
        if not count:
            return text
        run.charge(len(text) + 2 * count)
        run.spend(count // 4)
        return self._escaped.sub(lambda found: b"%%%02X" % found[0][0], text)


_IN_HOST: Final = _Escaping(_HOST.decode())
_IN_PATH: Final = _Escaping(_UNRESERVED + "$&+,/:;=@")
_IN_USERINFO: Final = _Escaping(_UNRESERVED + "$&+,;=")
_IN_FRAGMENT: Final = _Escaping(_UNRESERVED + "$&+,/:;=?@!()*")


@dataclass(slots=True)
class _Url:
    """A URL's parts, unescaped where Go keeps them so; userinfo is escaped, and None where there is none."""

    scheme: bytes = b""
    opaque: bytes = b""
    userinfo: bytes | None = None
    host: bytes = b""
    path: bytes = b""
    query: bytes = b""
    fragment: bytes = b""


@group.add("urlParse", "func(string) map[string]interface {}")
def url_parse(run: Run, text: bytes) -> dict[bytes, Value]:
    """The URL's parts, as a map with scheme, host, hostname, path, query, opaque, fragment and userinfo.

    `(urlParse "https://example.com:8443/a").host` is `example.com:8443`.
    """
    run.spend(len(text) // _READ_PER_STEP)
    try:
        url = _parsed(run, text)
    except FunctionError as error:
        raise FunctionError(f"unable to parse url: {error}") from None
    return {
        b"scheme": url.scheme,
        b"host": url.host,
        b"hostname": _hostname(url.host),
        b"path": url.path,
        b"query": url.query,
        b"opaque": url.opaque,
        b"fragment": url.fragment,
        b"userinfo": url.userinfo or b"",
    }


@group.add("urlJoin", "func(map[string]interface {}) string")
def url_join(run: Run, parts: dict[bytes, Value] | None) -> bytes:
    """The URL with those parts: the reverse of urlParse.

    `urlJoin (dict "scheme" "https" "host" "example.com" "path" "/a")` is `https://example.com/a`.
    """
    url = _Url(
        scheme=_part(parts, b"scheme"),
        host=_part(parts, b"host"),
        path=_part(parts, b"path"),
        query=_part(parts, b"query"),
        opaque=_part(parts, b"opaque"),
        fragment=_part(parts, b"fragment"),
    )
    userinfo = _part(parts, b"userinfo")
    run.charge(sum(map(len, (url.scheme, url.host, url.path, url.query, url.opaque, url.fragment, userinfo))))
    if userinfo:
        try:
            url.userinfo = _parsed(run, b"proto://" + userinfo + b"@host").userinfo
        except FunctionError as error:
            raise FunctionError(f"unable to parse userinfo in dict: {error}") from None
    return _joined(run, url)


def _part(parts: dict[bytes, Value] | None, name: bytes) -> bytes:
    """The part's text; empty where there is none."""
    if parts is None or name not in parts:
        return b""
    value = parts[name]
    if value is None:
        raise FunctionError("runtime error: invalid memory address or nil pointer dereference")
    if not isinstance(value, bytes):
        raise FunctionError(
            f"unable to parse {name.decode()} key, must be of type string, but {kind_of(value)} found"
        )
    return value


def _parsed(run: Run, text: bytes) -> _Url:
    """The URL's parts.

    Raises:
        FunctionError: it is none.
    """
    text, _, fragment = text.partition(b"#")
    if _CONTROL.search(text):
        raise FunctionError("net/url: invalid control character in URL")
    url = _Url()
    if text == b"*":
        url.path = text
    else:
        if text.startswith(b":"):
            raise FunctionError("missing protocol scheme")
        if found := _SCHEME.match(text):
            url.scheme = found[1].lower()
            text = text[found.end() :]
        text, _, url.query = text.partition(b"?")
        _parse_rest(run, url, text)
    url.fragment = _unescaped(run, fragment)
    return url


def _parse_rest(run: Run, url: _Url, text: bytes) -> None:
    """What stands between the scheme and the query."""
    if not text.startswith(b"/"):
        if url.scheme:
            url.opaque = text
            return
        if b":" in text.partition(b"/")[0]:
            raise FunctionError("first path segment in URL cannot contain colon")
    if text.startswith(b"//") and (url.scheme or not text.startswith(b"///")):
        authority, slash, text = text[2:].partition(b"/")
        text = slash + text
        _parse_authority(run, url, authority)
    url.path = _unescaped(run, text)


def _parse_authority(run: Run, url: _Url, authority: bytes) -> None:
    userinfo, at, host = authority.rpartition(b"@")
    url.host = _parsed_host(run, url.scheme, host)
    if not at:
        return
    if not _USERINFO.fullmatch(userinfo):
        raise FunctionError("net/url: invalid userinfo")
    username, colon, password = userinfo.partition(b":")
    url.userinfo = _rewritten(run, username) + colon + _rewritten(run, password)


def _rewritten(run: Run, text: bytes) -> bytes:
    """A user's name or password, escaped as Go does it."""
    return _IN_USERINFO.escape(run, _unescaped(run, text))


def _parsed_host(run: Run, scheme: bytes, host: bytes) -> bytes:
    bracket = host.rfind(b"[")
    if bracket > 0:
        raise FunctionError("invalid IP-literal")
    if bracket == 0:
        return _parsed_literal(run, host)
    # Several hosts, each with its port, are what some databases take: http does not
    strict = scheme in {b"http", b"https"}
    colon = host.find(b":") if strict else host.rfind(b":")
    if colon >= 0 and not _PORT.fullmatch(host, colon):
        raise FunctionError("invalid port after host")
    return _unescaped_host(run, host)


def _parsed_literal(run: Run, host: bytes) -> bytes:
    """The address between brackets, with its port."""
    bracket = host.rfind(b"]")
    if bracket < 0:
        raise FunctionError("missing ']' in host")
    port = host[bracket + 1 :]
    if not _PORT.fullmatch(port):
        raise FunctionError("invalid port after host")
    address, zone, name = host[1:bracket].partition(b"%25")
    address = _unescaped_host(run, address)
    if zone:
        address += _unescaped_zone(run, zone + name)
    if not _is_ipv6(address):
        raise FunctionError("invalid host: it is no IPv6 address")
    return b"[" + address + b"]" + port


def _is_ipv6(address: bytes) -> bool:
    """Whether it is an address of IPv6, perhaps with a zone."""
    import ipaddress  # few templates take URLs apart

    number, percent, zone = address.partition(b"%")
    if (percent and not zone) or len(number) > _LONGEST_ADDRESS:
        return False
    try:
        ipaddress.IPv6Address(number.decode("ascii", "replace"))
    except ValueError:
        return False
    return True


def _unescaped(run: Run, text: bytes) -> bytes:
    run.charge(len(text))
    if b"%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise FunctionError("invalid URL escape")
    run.spend(text.count(b"%") // 4)
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), text)


def _unescaped_host(run: Run, host: bytes) -> bytes:
    if _BAD_ESCAPE.search(host) or _ASCII_ESCAPE.search(host):
        raise FunctionError("invalid URL escape")
    if _NOT_IN_HOST.search(host):
        raise FunctionError("invalid character in host name")
    return _unescaped(run, host)


def _unescaped_zone(run: Run, zone: bytes) -> bytes:
    run.spend(zone.count(b"%"))
    for found in _ESCAPE.finditer(zone):
        if found[1] != b"25" and int(found[1], 16) not in _HOST + b" ":
            raise FunctionError("invalid URL escape")
    if not _BAD_ESCAPE.search(zone) and _NOT_IN_HOST.search(zone):
        raise FunctionError("invalid character in host name")
    return _unescaped(run, zone)


def _hostname(host: bytes) -> bytes:
    """The host without its port and brackets."""
    colon = host.rfind(b":")
    if colon >= 0 and _PORT.fullmatch(host, colon):
        host = host[:colon]
    return host[1:-1] if host.startswith(b"[") and host.endswith(b"]") else host


def _joined(run: Run, url: _Url) -> bytes:
    text = url.scheme + b":" if url.scheme else b""
    if url.opaque:
        text += url.opaque
    else:
        has_authority = bool(url.host) or url.userinfo is not None
        if has_authority or (url.scheme and url.path):
            text += b"//"
        if url.userinfo is not None:
            text += url.userinfo + b"@"
        text += _IN_HOST.escape(run, url.host)
        path = url.path if url.path == b"*" else _IN_PATH.escape(run, url.path)
        if path and url.host and not path.startswith(b"/"):
            text += b"/"
        if not text and b":" in path.partition(b"/")[0]:
            text += b"./"
        text += path
    if url.query:
        text += b"?" + url.query
    if url.fragment:
        text += b"#" + _IN_FRAGMENT.escape(run, url.fragment)
    return text
