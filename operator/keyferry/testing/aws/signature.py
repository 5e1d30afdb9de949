"""Signature Version 4, checked and made: who signed a request, unchanged, and when.

Written after AWS's published description of the algorithm and independent of botocore, so that the
SDK under test is checked by something other than itself. Pure: the time is an argument.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, unquote

from keyferry.testing.aws.wire import AwsError, HttpRequest, Signature

TIMESTAMP: Final = "%Y%m%dT%H%M%SZ"
MAX_SKEW: Final = timedelta(minutes=5)
"""How far the client's clock may be off."""


def check(
    request: HttpRequest, signature: Signature, *, secret_key: str, service: str, now: datetime
) -> None:
    """Prove that the holder of the secret key signed this request, for this service, just now.

    Raises:
        AwsError: InvalidSignatureException with the reason.
    """
    if signature.service != service:
        raise AwsError(
            "InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'. "
        )
    timestamp = request.headers.get("x-amz-date", "")
    if not timestamp.startswith(signature.date):
        raise AwsError(
            "InvalidSignatureException",
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{signature.date}' != '{timestamp[:8]}', from '{timestamp}'.",
        )
    _check_clock(timestamp, now)
    missing = {"host", "x-amz-date"} - set(signature.signed_headers)
    if "x-amz-security-token" in request.headers and "x-amz-security-token" not in signature.signed_headers:
        missing.add("x-amz-security-token")
    declared = request.headers.get("x-amz-content-sha256")
    if missing or (declared and declared != hashlib.sha256(request.body).hexdigest()):
        raise AwsError("InvalidSignatureException")
    if not hmac.compare_digest(signature.value, sign(request, signature, secret_key)):
        raise AwsError("InvalidSignatureException")


def _check_clock(timestamp: str, now: datetime) -> None:
    try:
        signed_at = datetime.strptime(timestamp, TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        raise AwsError(
            "IncompleteSignatureException",
            "Date must be in ISO-8601 'basic format'. Got a malformed X-Amz-Date header.",
        ) from None
    if signed_at + MAX_SKEW < now:
        limit = (now - MAX_SKEW).strftime(TIMESTAMP)
        raise AwsError(
            "InvalidSignatureException",
            f"Signature expired: {timestamp} is now earlier than {limit} ({now.strftime(TIMESTAMP)} - 5 min.)",
        )
    if signed_at - MAX_SKEW > now:
        limit = (now + MAX_SKEW).strftime(TIMESTAMP)
        raise AwsError(
            "InvalidSignatureException",
            f"Signature not yet current: {timestamp} is still later than {limit} "
            f"({now.strftime(TIMESTAMP)} + 5 min.)",
        )


def sign(request: HttpRequest, signature: Signature, secret_key: str) -> str:
    """The signature that the request must carry; `signature` tells scope and signed headers."""
    scope = f"{signature.date}/{signature.region}/{signature.service}/aws4_request"
    canonical = "\n".join(
        (
            request.method,
            quote(unquote(request.path or "/"), safe="/-_.~"),
            "&".join(
                sorted(pair if "=" in pair else f"{pair}=" for pair in request.query.split("&") if pair)
            ),
            _canonical_headers(request.headers, signature.signed_headers),
            ";".join(signature.signed_headers),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    to_sign = "\n".join(
        (
            "AWS4-HMAC-SHA256",
            request.headers["x-amz-date"],
            scope,
            hashlib.sha256(canonical.encode()).hexdigest(),
        )
    )
    key = f"AWS4{secret_key}".encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def _canonical_headers(headers: Mapping[str, str], signed: Iterable[str]) -> str:
    return "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in signed)


def signed_copy(
    request: HttpRequest, *, access_key_id: str, secret_key: str, scope: tuple[str, str], now: datetime
) -> HttpRequest:
    """The same request signed by another key, for (region, service)."""
    kept = {
        name: value
        for name, value in request.headers.items()
        if name in {"host", "content-type", "x-amz-target", "user-agent"}
    }
    headers = {**kept, "x-amz-date": now.strftime(TIMESTAMP)}
    names = tuple(sorted(name for name in headers if name != "user-agent"))
    unsigned = HttpRequest(request.method, request.path, request.query, headers, request.body)
    region, service = scope
    signature = Signature(access_key_id, headers["x-amz-date"][:8], region, service, names, "")
    credential = f"{access_key_id}/{signature.date}/{region}/{service}/aws4_request"
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(names)}, "
        f"Signature={sign(unsigned, signature, secret_key)}"
    )
    signed = {**headers, "authorization": authorization}
    return HttpRequest(request.method, request.path, request.query, signed, request.body)
