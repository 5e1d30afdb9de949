"""Who calls, and whether they may: authentication by signature, authorization by policies.

Sessions (temporary credentials) are remembered here with what AWS remembers of them: expiry, session
tags, transitive keys, session policy. Synchronous; lives in the thread that owns moto.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from keyferry.testing.aws import signature
from keyferry.testing.aws.moto_store import MotoStore
from keyferry.testing.aws.policy import (
    Context,
    Grant,
    UnknownPolicyElement,
    Verdict,
    context_of,
    evaluate,
    evaluate_resource_policy,
)
from keyferry.testing.aws.wire import AwsError, Call

T = TypeVar("T")
UNSIGNED: Final = frozenset({"AssumeRoleWithWebIdentity"})


@dataclass(slots=True)
class Session:
    """Temporary credentials for a role or of a user, and what they carry."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    token: str = field(repr=False)
    expires_at: datetime
    role_arn: str
    session_name: str
    user_id: str
    tags: Mapping[str, str]
    transitive_tag_keys: frozenset[str]
    policy: str = ""
    subject: str = ""
    """The web identity's subject, where one was exchanged."""
    user_arn: str = ""
    """Whose session it is, where it is a user's; `role_arn` is empty then."""
    user_key: str = ""
    """The access key that asked for a user's session."""
    with_mfa: bool = False

    @property
    def arn(self) -> str:
        """The session's own ARN."""
        if self.user_arn:
            return self.user_arn
        _, partition, _, _, account, name = self.role_arn.split(":", 5)
        return f"arn:{partition}:sts::{account}:assumed-role/{name.rpartition('/')[2]}/{self.session_name}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed a call."""

    arn: str
    user_id: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    policies: tuple[str, ...] = field(repr=False)
    tags: Mapping[str, str]
    """Tags of the principal: the user's or role's own, overridden by session tags."""
    session: Session | None = None
    active: bool = True

    @property
    def account(self) -> str:
        """The account of the principal."""
        return self.arn.split(":")[4]

    @property
    def partition(self) -> str:
        """The partition of the principal."""
        return self.arn.split(":")[1]

    def forms(self) -> dict[str, bool]:
        """How a policy's Principal may mean this caller, each with whether it names them themselves."""
        forms = {
            f"AWS:{self.arn}": True,
            f"AWS:arn:{self.partition}:iam::{self.account}:root": False,
            f"AWS:{self.account}": False,
        }
        if self.session and self.session.role_arn:
            forms[f"AWS:{self.session.role_arn}"] = True
        return forms

    def context(self, call: Call) -> dict[str, list[str]]:
        """The condition keys that the caller and the request have whatever is asked."""
        return context_of(
            **{f"aws:PrincipalTag/{key}": value for key, value in self.tags.items()},
            **{
                "aws:PrincipalArn": (self.session.role_arn if self.session else "") or self.arn,
                "aws:PrincipalAccount": self.account,
                "aws:userid": self.user_id,
                "aws:username": "" if self.session and self.session.role_arn else self.arn.rpartition("/")[2],
                "aws:MultiFactorAuthPresent": (
                    str(self.session.with_mfa).lower() if self.session and self.session.user_arn else ""
                ),
                "aws:RequestedRegion": call.region,
                "aws:SecureTransport": "false",
            },
        )


class Gate:
    """Authentication and authorization of callers.

    Args:
        store: moto's state, for users, roles and policies.
    """

    def __init__(self, store: MotoStore) -> None:
        self._store = store
        self.sessions: dict[str, Session] = {}

    def find(self, call: Call) -> Caller | None:
        """Whose access key the call names, without any proof."""
        if call.signature is None:
            return None
        key = call.signature.access_key_id
        if session := self.sessions.get(key):
            if session.arn.split(":")[1] != call.partition:
                return None
            if session.user_key:
                return self._user_session(session, call)
            role = self._store.find_role(session.role_arn)
            return Caller(
                arn=session.arn,
                user_id=session.user_id,
                access_key_id=key,
                secret_access_key=session.secret_access_key,
                policies=role.policies if role else (),
                tags={**(role.tags if role else {}), **session.tags},
                session=session,
            )
        user = self._store.find_user(key, call.region)
        if user is None:
            return None
        return Caller(
            arn=user.arn,
            user_id=user.user_id,
            access_key_id=key,
            secret_access_key=user.keys.secret_access_key,
            policies=user.policies,
            tags=user.tags,
            active=user.active,
        )

    def _user_session(self, session: Session, call: Call) -> Caller | None:
        user = self._store.find_user(session.user_key, call.region)
        if user is None:
            return None
        return Caller(
            arn=user.arn,
            user_id=user.user_id,
            access_key_id=session.access_key_id,
            secret_access_key=session.secret_access_key,
            policies=user.policies,
            tags=user.tags,
            session=session,
            active=user.active,
        )

    def authenticate(self, caller: Caller | None, call: Call, now: datetime) -> Caller:
        """The caller, proven by the signature.

        Raises:
            AwsError: no signature, unknown or disabled key, wrong token, expired credentials, wrong signature.
        """
        if call.signature is None:
            raise AwsError("MissingAuthenticationTokenException")
        token = call.request.headers.get("x-amz-security-token", "")
        if caller is None or not caller.active or token != (caller.session.token if caller.session else ""):
            raise AwsError("UnrecognizedClientException")
        if caller.session and caller.session.expires_at <= now:
            raise AwsError("ExpiredTokenException")
        signature.check(
            call.request, call.signature, secret_key=caller.secret_access_key, service=call.service, now=now
        )
        return caller

    def authorize(
        self,
        caller: Caller,
        action: str,
        resource: str,
        context: Context,
        *,
        policy: str = "",
        said: str = "",
    ) -> None:
        """Check that the caller may do this to the resource.

        Args:
            caller: who asks, already proven.
            action: as `secretsmanager:GetSecretValue`.
            resource: its ARN, or `*`.
            context: the request's condition keys.
            policy: the resource's own policy, empty without one.
            said: the resource as the caller named it; empty leaves it out of the text, as for `*`.

        Raises:
            AwsError: AccessDeniedException with AWS's text, or a policy that this double cannot judge.
        """
        identity = self._identity(caller, action, resource, context)
        grant = _granted(policy, action, caller, context, resource)
        if identity is Verdict.DENIED or grant.verdict is Verdict.DENIED:
            where = "identity" if identity is Verdict.DENIED else "resource"
            raise denied(caller, action, said, f"with an explicit deny in {_article(where)}-based policy")
        self._check_session_policy(caller, action, resource, context, said)
        foreign = resource != "*" and resource.split(":")[4] != caller.account
        if foreign:
            if grant.verdict is not Verdict.ALLOWED:
                raise denied(
                    caller, action, said, f"because no resource-based policy allows the {action} action"
                )
        elif grant.verdict is Verdict.ALLOWED and grant.named:
            return
        if identity is not Verdict.ALLOWED:
            raise denied(caller, action, said, f"because no identity-based policy allows the {action} action")

    def may_assume(self, caller: Caller, action: str, role_arn: str, trust: str, context: Context) -> bool:
        """Whether the role's trust policy and, where it only trusts the account, the caller's own allow it."""
        identity = self._identity(caller, action, role_arn, context)
        grant = _granted(trust, action, caller, context, "")
        if grant.verdict is not Verdict.ALLOWED or identity is Verdict.DENIED:
            return False
        self._check_session_policy(caller, action, role_arn, context, role_arn)
        same_account = role_arn.split(":")[4] == caller.account
        return identity is Verdict.ALLOWED or (same_account and grant.named)

    def _identity(self, caller: Caller, action: str, resource: str, context: Context) -> Verdict:
        return _judged(lambda: evaluate(caller.policies, action, resource, context))

    def _check_session_policy(
        self, caller: Caller, action: str, resource: str, context: Context, said: str
    ) -> None:
        if caller.session and (document := caller.session.policy):
            verdict = _judged(lambda: evaluate([document], action, resource, context))
            if verdict is not Verdict.ALLOWED:
                raise denied(caller, action, said, f"because no session policy allows the {action} action")


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _granted(policy: str, action: str, caller: Caller, context: Context, resource: str) -> Grant:
    if not policy:
        return Grant(Verdict.SILENT)
    forms = caller.forms()
    return _judged(lambda: evaluate_resource_policy(policy, action, forms, context, resource=resource))


def _judged(judge: Callable[[], T]) -> T:
    try:
        return judge()
    except UnknownPolicyElement as error:
        raise AwsError(
            "NotImplementedByDouble", f"the AWS double cannot judge a policy with {error}", status=501
        ) from None


def denied(caller: Caller, action: str, said: str, because: str = "") -> AwsError:
    """AWS's refusal of an action."""
    on = f" on resource: {said}" if said else ""
    text = f"User: {caller.arn} is not authorized to perform: {action}{on} {because}".rstrip()
    return AwsError("AccessDeniedException", text)
