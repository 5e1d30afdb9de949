"""The Security Token Service: AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity, GetSessionToken.

moto makes the credentials and keeps the roles; this file decides who gets them: trust policies with
external ids and request tags, the permission to tag, session tags and their inheritance along a
role chain, and durations, as AWS documents them. Web identity tokens were verified before
(`web_identity`). Synchronous; lives in the thread that owns moto.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import string
import struct
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from keyferry.testing.aws.gate import Caller, Gate, Session, denied
from keyferry.testing.aws.moto_store import MotoStore, RoleRecord
from keyferry.testing.aws.policy import UnknownPolicyElement, Verdict, context_of, evaluate_resource_policy
from keyferry.testing.aws.web_identity import WebIdentity
from keyferry.testing.aws.wire import Answer, AwsError, Call, sts_answer

MIN_DURATION_S: Final = 900
DEFAULT_DURATION_S: Final = 3600
CHAINED_MAX_S: Final = 3600
USER_DEFAULT_S: Final = 43_200
USER_MAX_S: Final = 129_600
_KEY_CHARS: Final = string.ascii_uppercase + "234567"
_NOT_FOR_WEB_IDENTITY: Final = "Not authorized to perform sts:AssumeRoleWithWebIdentity"


class SecurityTokenService:
    """STS over moto's roles.

    Args:
        store: moto's state.
        gate: where sessions are remembered and permissions judged.
    """

    def __init__(self, store: MotoStore, gate: Gate) -> None:
        self._store = store
        self._gate = gate
        self.lifetime_s = 0.0
        """Overrides how long new credentials live, for tests of expiry; 0 leaves it to the request."""

    def get_caller_identity(self, caller: Caller) -> Answer:
        """Who the caller is; nobody needs a permission for this."""
        return sts_answer(
            "GetCallerIdentity", {"Arn": caller.arn, "UserId": caller.user_id, "Account": caller.account}
        )

    def assume_role(self, caller: Caller, call: Call, now: datetime) -> tuple[Answer, Session]:
        """Temporary credentials for a role that trusts the caller.

        Raises:
            AwsError: AccessDenied, or ValidationError for what is malformed.
        """
        role_arn = call.text("RoleArn")
        _check_session_name(call)
        tags, transitive = _session_tags(call, caller.session)
        context = {**caller.context(call), **_request_context(call, tags)}
        role = self._store.find_role(role_arn)
        actions = ["sts:AssumeRole", *(["sts:TagSession"] if tags else [])]
        for action in actions:
            if role is None or not self._gate.may_assume(caller, action, role_arn, role.trust, context):
                raise denied(caller, action, role_arn)
        assert role is not None
        duration = _duration(call, role, chained=bool(caller.session and caller.session.role_arn))
        session = self._open(role, call, duration, now)
        session.tags, session.transitive_tag_keys = tags, transitive
        session.policy = call.text("Policy")
        return self._granted("AssumeRole", session, {}), session

    def assume_role_with_web_identity(
        self, call: Call, identity: WebIdentity, now: datetime
    ) -> tuple[Answer, Session]:
        """Temporary credentials for a role that trusts the web identity.

        Args:
            call: the request.
            identity: whom the verified token is about.
            now: the time of day.

        Raises:
            AwsError: AccessDenied, or ValidationError for what is malformed.
        """
        _check_session_name(call)
        role = self._store.find_role(call.text("RoleArn"))
        if role is None:
            raise AwsError("AccessDeniedException", _NOT_FOR_WEB_IDENTITY)
        _, partition, _, _, account, _ = role.arn.split(":", 5)
        provider = f"arn:{partition}:iam::{account}:oidc-provider/{identity.host}"
        context = context_of(
            **{
                f"{identity.host}:sub": identity.subject,
                f"{identity.host}:aud": identity.audiences,
                f"{identity.host}:iss": identity.issuer,
                "sts:RoleSessionName": call.text("RoleSessionName"),
                "aws:FederatedProvider": provider,
            }
        )
        try:
            grant = evaluate_resource_policy(
                role.trust, "sts:AssumeRoleWithWebIdentity", {f"Federated:{provider}": True}, context
            )
        except UnknownPolicyElement as error:
            raise AwsError("NotImplementedByDouble", f"cannot judge {error}", status=501) from None
        if grant.verdict is not Verdict.ALLOWED:
            raise AwsError("AccessDeniedException", _NOT_FOR_WEB_IDENTITY)
        session = self._open(role, call, _duration(call, role, chained=False), now)
        session.subject, session.policy = identity.subject, call.text("Policy")
        about = {
            "SubjectFromWebIdentityToken": identity.subject,
            "Provider": provider,
            "Audience": identity.audiences[0],
        }
        return self._granted("AssumeRoleWithWebIdentity", session, about), session

    def get_session_token(self, caller: Caller, call: Call, now: datetime) -> tuple[Answer, Session]:
        """Temporary credentials of the user who asks; nobody needs a permission for this.

        Raises:
            AwsError: AccessDenied for session credentials and failed MFA, or ValidationError.
        """
        if caller.session:
            raise AwsError("AccessDeniedException", "Cannot call GetSessionToken with session credentials")
        with_mfa = self._check_mfa(caller, call, now)
        seconds = int(call.text("DurationSeconds") or USER_DEFAULT_S)
        for wrong, constraint in (
            (seconds < MIN_DURATION_S, f"greater than or equal to {MIN_DURATION_S}"),
            (seconds > USER_MAX_S, f"less than or equal to {USER_MAX_S}"),
        ):
            if wrong:
                raise AwsError(
                    "ValidationException",
                    f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy "
                    f"constraint: Member must have value {constraint}",
                )
        session = Session(
            access_key_id="ASIA" + "".join(secrets.choice(_KEY_CHARS) for _ in range(16)),
            secret_access_key=secrets.token_urlsafe(30),
            token=secrets.token_urlsafe(192),
            expires_at=now + timedelta(seconds=self.lifetime_s or seconds),
            role_arn="",
            session_name="",
            user_id=caller.user_id,
            tags={},
            transitive_tag_keys=frozenset(),
            user_arn=caller.arn,
            user_key=caller.access_key_id,
            with_mfa=with_mfa,
        )
        self._gate.sessions[session.access_key_id] = session
        return sts_answer("GetSessionToken", {"Credentials": _credentials(session)}), session

    def _check_mfa(self, caller: Caller, call: Call, now: datetime) -> bool:
        """Whether the caller has proven itself with a device."""
        serial, code = call.text("SerialNumber"), call.text("TokenCode")
        if not serial and not code:
            return False
        failed = "MultiFactorAuthentication failed"
        if not serial or not code:
            raise AwsError(
                "AccessDeniedException",
                f"{failed}, must provide both MFA serial number and one time pass code. ",
            )
        user = self._store.find_user(caller.access_key_id, call.region)
        seed = self._store.mfa_seed(user, serial, call.region) if user else ""
        if not seed:
            raise AwsError(
                "AccessDeniedException",
                f"{failed}, unable to validate MFA code.  Please verify your MFA serial number is valid and "
                "associated with this user.",
            )
        step = int(now.timestamp()) // 30
        if code not in {_one_time_password(seed, step + late) for late in (-1, 0, 1)}:
            raise AwsError("AccessDeniedException", f"{failed} with invalid MFA one time pass code. ")
        return True

    def expire(self, access_key_id: str, now: datetime) -> int:
        """End the sessions with that access key id (all, if empty) now; how many there were."""
        ended = [s for s in self._gate.sessions.values() if access_key_id in ("", s.access_key_id)]
        for session in ended:
            session.expires_at = now
        return len(ended)

    def _open(self, role: RoleRecord, call: Call, duration_s: int, now: datetime) -> Session:
        name = call.text("RoleSessionName")
        minted = self._store.mint(role, name, duration_s, call.region)
        session = Session(
            access_key_id=minted.access_key_id,
            secret_access_key=minted.secret_access_key,
            token=minted.session_token,
            expires_at=now + timedelta(seconds=self.lifetime_s or duration_s),
            role_arn=role.arn,
            session_name=name,
            user_id=f"{role.role_id}:{name}",
            tags={},
            transitive_tag_keys=frozenset(),
        )
        self._gate.sessions[session.access_key_id] = session
        return session

    @staticmethod
    def _granted(action: str, session: Session, about: Mapping[str, str]) -> Answer:
        result = {
            "Credentials": _credentials(session),
            "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
            "PackedPolicySize": 6,
            **about,
        }
        return sts_answer(action, result)


def _credentials(session: Session) -> dict[str, str]:
    return {
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret_access_key,
        "SessionToken": session.token,
        "Expiration": session.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _one_time_password(seed: str, step: int) -> str:
    """What a device with this seed shows in a step of 30 seconds (RFC 6238)."""
    mac = hmac.digest(base64.b32decode(seed), struct.pack(">Q", step), "sha1")
    (number,) = struct.unpack_from(">I", mac, mac[19] % 16)
    return f"{(number % 2**31) % 1_000_000:06d}"


def _check_session_name(call: Call) -> None:
    if call.params.get("PolicyArns.member.1.arn"):
        raise AwsError("NotImplementedByDouble", "session policies by ARN", status=501)
    name = call.text("RoleSessionName")
    if not re.fullmatch(r"[\w+=,.@-]{2,64}", name, re.ASCII):
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [\\w+=,.@-]* with length between 2 and 64",
        )


def _duration(call: Call, role: RoleRecord, *, chained: bool) -> int:
    asked = call.text("DurationSeconds")
    if not asked:
        return min(DEFAULT_DURATION_S, role.max_session_s)
    seconds = int(asked)
    if seconds < MIN_DURATION_S:
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy "
            f"constraint: Member must have value greater than or equal to {MIN_DURATION_S}",
        )
    if chained and seconds > CHAINED_MAX_S:
        raise AwsError(
            "ValidationException",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        )
    if seconds > role.max_session_s:
        raise AwsError(
            "ValidationException",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )
    return seconds


def _session_tags(call: Call, parent: Session | None) -> tuple[dict[str, str], frozenset[str]]:
    """All tags of the new session and the keys of those that travel on along a role chain."""
    asked = {tag["Key"]: tag.get("Value", "") for tag in call.members("Tags")}
    travelling = call.texts("TransitiveTagKeys")
    if len({key.lower() for key in asked}) < len(call.members("Tags")):
        raise AwsError(
            "InvalidParameterValue",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        )
    if len(asked) > 50 or any(len(key) > 128 or len(value) > 256 for key, value in asked.items()):
        raise AwsError("ValidationException", "1 validation error detected: session tags exceed their limits")
    known = {key.lower() for key in asked}
    if any(key.lower() not in known for key in travelling):
        raise AwsError(
            "InvalidParameterValue",
            "The specified transitive tag key must be included in the requested tags.",
        )
    inherited = {}
    if parent:
        inherited = {key: value for key, value in parent.tags.items() if key in parent.transitive_tag_keys}
    if known & {key.lower() for key in inherited}:
        raise AwsError(
            "InvalidParameterValue",
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive "
            "tag key from the calling session.",
        )
    lowered = {key.lower() for key in travelling}
    moving = frozenset(key for key in asked if key.lower() in lowered) | frozenset(inherited)
    return {**inherited, **asked}, moving


def _request_context(call: Call, tags: Mapping[str, str]) -> dict[str, list[str]]:
    return context_of(
        **{f"aws:RequestTag/{key}": value for key, value in tags.items()},
        **{
            "aws:TagKeys": list(tags),
            "sts:TransitiveTagKeys": call.texts("TransitiveTagKeys"),
            "sts:ExternalId": call.text("ExternalId"),
            "sts:RoleSessionName": call.text("RoleSessionName"),
        },
    )
