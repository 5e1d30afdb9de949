"""What was asked of the double: one record a call, with counts and waits for tests.

No record holds a secret value, a secret key or a token. `front` writes, `control` reads.
"""

from __future__ import annotations

import fnmatch

import msgspec

from keyferry.testing.owned.calls import Record


class CallRecord(Record, kw_only=True):
    """One call to AWS.

    Args:
        service, action, region: what was asked, and the region it was signed for.
        secret_ids: the secrets that it names, as it names them.
        access_key_id: the key it is signed with; empty if unsigned.
        principal: the ARN of that key's owner; empty if unknown.
        session_tags, transitive_tag_keys: of the caller's session; for granted sessions, of the new one.
        role_arn: the role that it wants to assume.
        granted_access_key_id: the key of the session that it got.
        subject: the subject of the web identity that it presented and that was verified.
    """

    service: str
    action: str
    region: str
    secret_ids: list[str] = msgspec.field(default_factory=list)
    access_key_id: str = ""
    principal: str = ""
    session_tags: dict[str, str] = msgspec.field(default_factory=dict)
    transitive_tag_keys: list[str] = msgspec.field(default_factory=list)
    role_arn: str = ""
    granted_access_key_id: str = ""
    subject: str = ""


class CallFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which calls are meant: globs over service, action, secret ids and principal; empty means all."""

    service: str = ""
    action: str = ""
    secret: str = ""
    principal: str = ""

    def matches(self, record: CallRecord) -> bool:
        """Whether a call is meant."""
        plain = (
            (self.service, record.service),
            (self.action, record.action),
            (self.principal, record.principal),
        )
        return all(not pattern or fnmatch.fnmatchcase(value, pattern) for pattern, value in plain) and (
            not self.secret or any(fnmatch.fnmatchcase(one, self.secret) for one in record.secret_ids)
        )
