"""What was asked of the double: one record a request, with counts and waits for tests.

No record holds a value, a client secret, an assertion or a token.
"""

from __future__ import annotations

import fnmatch

import msgspec

from keyferry.testing.owned.calls import Record


class CallRecord(Record, kw_only=True):
    """One request.

    Args:
        service: `entra`, `vault`, `registry` or `machine`.
        host, method, path: what was asked, without the query.
        oid: who asked, as far as that was proven; of token requests, who got a token.
        client_id: of token requests, as the client wrote it.
        subject: of the federated token that was verified.
        by_proxy: whether it came through the double's proxy.
    """

    service: str
    host: str
    method: str
    path: str
    oid: str = ""
    client_id: str = ""
    subject: str = ""
    by_proxy: bool = False


class CallFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests are meant: globs; empty means all."""

    service: str = ""
    host: str = ""
    method: str = ""
    path: str = ""
    oid: str = ""
    status: int = 0

    def matches(self, record: CallRecord) -> bool:
        """Whether a request is meant."""
        pairs = (
            (self.service, record.service),
            (self.host, record.host),
            (self.method, record.method),
            (self.path, record.path),
            (self.oid, record.oid),
        )
        return self.status in (0, record.status) and all(
            not pattern or fnmatch.fnmatchcase(value, pattern) for pattern, value in pairs
        )
