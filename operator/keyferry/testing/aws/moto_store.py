"""The one door to moto: its state of users, roles, policies, providers and secrets, and its services.

moto runs inside this process with its IAM enforcement on, so that nothing reaches it unsigned; what
it is asked over its WSGI interface is signed by an administrator of the account in question, after
the caller was checked in front. Everything here is synchronous and must be called from one thread
(`front` owns it): moto's state has no locks.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import moto.settings
from moto.iam.models import Policy, Role, User, iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.secretsmanager.models import FakeSecret, ReplicaSecret, secretsmanager_backends
from moto.sts.models import sts_backends

from keyferry.testing.aws import signature
from keyferry.testing.aws.faults import ADMINISTRATOR
from keyferry.testing.aws.wire import MARKED_FOR_DELETION, Answer, AwsError, Call, partition_of

ALLOW_ALL: Final = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)
_SEED: Final = re.compile(rb"(<Base32StringSeed>)([A-Z2-7]+)(</Base32StringSeed>)")
SERVICES: Final = frozenset({"secretsmanager", "sts", "iam", "kms", "ssm", "sqs"})


@dataclass(frozen=True, slots=True)
class Keys:
    """A long-term access key."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserRecord:
    """An IAM user as the owner of an access key."""

    arn: str
    user_id: str
    account: str
    name: str
    keys: Keys
    active: bool
    policies: tuple[str, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RoleRecord:
    """An IAM role."""

    arn: str
    role_id: str
    account: str
    name: str
    trust: str
    max_session_s: int
    policies: tuple[str, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A secret, without its values."""

    arn: str
    name: str
    tags: Mapping[str, str]
    policy: str
    """Its resource policy as JSON; empty without one."""


class MotoStore:
    """moto's state and services, for one process."""

    def __init__(self) -> None:
        moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        self._app = DomainDispatcherApplication(create_backend_app)
        self._administrators: dict[tuple[str, str], Keys] = {}

    def administrator(self, account: str, partition: str = "aws") -> Keys:
        """The keys of a user who may do everything in that account; made on first use."""
        if (account, partition) not in self._administrators:
            iam = iam_backends[account][partition]
            region = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}.get(partition, "us-east-1")
            iam.create_user(region_name=region, user_name=ADMINISTRATOR)
            iam.put_user_policy(ADMINISTRATOR, "allow-all", ALLOW_ALL)
            key = iam.create_access_key(user_name=ADMINISTRATOR, prefix="AKIA")
            self._administrators[account, partition] = Keys(key.access_key_id, key.secret_access_key)
        return self._administrators[account, partition]

    def find_user(self, access_key_id: str, region: str) -> UserRecord | None:
        """The user who owns an access key in the region's partition."""
        partition = partition_of(region)
        for _, partitions in list(iam_backends.items()):
            iam = partitions[partition]
            user: User
            for user in iam.users.values():
                for key in user.access_keys:
                    if key.access_key_id == access_key_id:
                        return _user_record(iam, user, key)
        return None

    def mfa_seed(self, user: UserRecord, serial: str, region: str) -> str:
        """The seed, as base32, of a virtual MFA device of the user; empty where it has no such device."""
        iam = iam_backends[user.account][partition_of(region)]
        device = iam.virtual_mfa_devices.get(serial)
        if device is None or serial not in iam.get_user(user.name).mfa_devices:
            return ""
        return str(device.base32_string_seed)

    def find_role(self, arn: str) -> RoleRecord | None:
        """The role of that ARN."""
        parts = arn.split(":")
        if len(parts) != 6 or parts[2] != "iam" or not parts[4].isdigit():
            return None
        iam = iam_backends[parts[4]][parts[1]]
        for role in iam.roles.values():
            if role.arn == arn:
                return _role_record(role)
        return None

    def provider_audiences(self, account: str, partition: str, issuer: str) -> frozenset[str] | None:
        """The audiences that the account's OIDC provider for this issuer knows; None without a provider."""
        host = issuer.removeprefix("https://").rstrip("/")
        provider = iam_backends[account][partition].open_id_providers.get(
            f"arn:{partition}:iam::{account}:oidc-provider/{host}"
        )
        return None if provider is None else frozenset(provider.client_id_list)

    def mint(self, role: RoleRecord, session_name: str, duration_s: int, region: str) -> Any:
        """New temporary credentials for a role, as moto's STS makes them (an `AssumedRole`)."""
        partition = role.arn.split(":")[1]
        region = region if partition_of(region) == partition else "us-east-1"
        return sts_backends[role.account][partition].assume_role(
            region_name=region,
            role_session_name=session_name,
            role_arn=role.arn,
            policy="",
            duration=duration_s,
            external_id="",
        )

    def find_secret(self, account: str, region: str, secret_id: str) -> SecretRecord | None:
        """The secret of that name, ARN or partial ARN."""
        secret = self._secret(account, region, secret_id)
        if secret is None:
            return None
        tags = {tag["Key"]: tag.get("Value") or "" for tag in secret.tags or []}
        policy = getattr(secret, "policy", None) or ""
        return SecretRecord(secret.arn, secret.name, tags, policy)

    def list_secrets(
        self, account: str, region: str, filters: list[dict[str, Any]], *, include_planned_deletion: bool
    ) -> list[dict[str, Any]]:
        """All secrets that moto's filters let pass, as ListSecrets tells them."""
        backend = secretsmanager_backends[account][region]
        most = max(1, len(backend.secrets))
        found, _ = backend.list_secrets(filters, most, None, include_planned_deletion)
        return [dict(one) for one in found]

    def _secret(self, account: str, region: str, secret_id: str) -> FakeSecret | ReplicaSecret | None:
        secrets = secretsmanager_backends[account][region].secrets
        # moto looks through all secrets; most are asked for by the very name that is the key.
        return dict.get(secrets, secret_id) or secrets.get(secret_id)

    def secret_value(self, account: str, region: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """GetSecretValue's answer.

        Raises:
            AwsError: as AWS tells it, where moto's texts or statuses differ.
        """
        secret = self._secret(account, region, str(params["SecretId"]))
        if secret is None:
            raise AwsError("ResourceNotFoundException")
        if secret.is_deleted():
            raise AwsError("InvalidRequestException", MARKED_FOR_DELETION)
        stage, version = params.get("VersionStage"), params.get("VersionId")
        if version and version not in secret.versions:
            raise AwsError(
                "ResourceNotFoundException",
                f"Secrets Manager can't find the specified secret value for VersionId: {version}",
            )
        staged = {name for one in secret.versions.values() for name in one["version_stages"]}
        wanted = stage or ("" if version else "AWSCURRENT")
        if wanted and wanted not in staged:
            raise AwsError(
                "ResourceNotFoundException",
                f"Secrets Manager can't find the specified secret value for staging label: {wanted}",
            )
        if version and stage and stage not in secret.versions[version]["version_stages"]:
            raise AwsError(
                "InvalidRequestException",
                "You provided a VersionStage that is not associated to the provided VersionId.",
            )
        backend = secretsmanager_backends[account][region]
        return dict(
            backend.get_secret_value(
                secret_id=secret.name, version_id=str(version or ""), version_stage=wanted
            )
        )

    def ask(self, call: Call, account: str, now: datetime) -> Answer:
        """What moto answers to a call, asked by the account's administrator; errors have AWS's statuses."""
        keys = self.administrator(account, call.partition)
        signed = signature.signed_copy(
            call.request,
            access_key_id=keys.access_key_id,
            secret_key=keys.secret_access_key,
            scope=(call.region, call.service),
            now=now,
        )
        environ: dict[str, Any] = {
            "REQUEST_METHOD": signed.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": signed.path,
            "QUERY_STRING": signed.query,
            "RAW_URI": signed.path,
            "REQUEST_URI": signed.path,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(signed.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "CONTENT_LENGTH": str(len(signed.body)),
            "CONTENT_TYPE": signed.headers.get("content-type", ""),
        }
        for name, value in signed.headers.items():
            environ.setdefault(f"HTTP_{name.upper().replace('-', '_')}", value)
        answer = _run(self._app, environ, call)
        if call.action == "CreateVirtualMFADevice":
            # AWS gives the seed as base64 of the base32 text, moto the text itself.
            answer = replace(answer, body=_SEED.sub(_as_blob, answer.body))
        return answer


def _as_blob(found: re.Match[bytes]) -> bytes:
    return found[1] + base64.b64encode(found[2]) + found[3]


def _run(app: Any, environ: dict[str, Any], call: Call) -> Answer:
    status = 500
    headers: dict[str, str] = {}

    def start_response(line: str, pairs: Iterable[tuple[str, str]], _: Any = None) -> None:
        nonlocal status
        status = int(line.split(" ", 1)[0])
        headers.update(pairs)

    chunks = app(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    kept = {
        name: value for name, value in headers.items() if name.lower().startswith(("content-type", "x-amz"))
    }
    if call.protocol == "json" and status == 404:
        status = 400  # AWS JSON 1.1 has no 404: ResourceNotFoundException is a 400 there
    return Answer(status, kept, body)


def _document(policy: Any) -> str:
    if isinstance(policy, Policy):
        return next(str(version.document) for version in policy.versions if version.is_default)
    return str(policy if isinstance(policy, str) else policy["policy_document"])


def _tags(tags: Any) -> dict[str, str]:
    listed = tags.values() if isinstance(tags, Mapping) else tags or []
    return {tag["Key"]: tag["Value"] for tag in listed}


def _user_record(iam: Any, user: User, key: Any) -> UserRecord:
    documents = [*user.policies.values(), *user.managed_policies.values()]
    for group in iam.get_groups_for_user(user.name):
        documents += [*group.policies.values(), *group.managed_policies.values()]
    return UserRecord(
        arn=user.arn,
        user_id=f"AIDA{user.id[:17].upper()}",
        account=user.account_id,
        name=user.name,
        keys=Keys(key.access_key_id, key.secret_access_key),
        active=key.status == "Active",
        policies=tuple(_document(one) for one in documents),
        tags=_tags(iam.tagger.list_tags_for_resource(user.arn)["Tags"]),
    )


def _role_record(role: Role) -> RoleRecord:
    return RoleRecord(
        arn=role.arn,
        role_id=role.id,
        account=role.account_id,
        name=role.name,
        trust=role.assume_role_policy_document,
        max_session_s=int(role.max_session_duration or 3600),
        policies=tuple(_document(one) for one in [*role.policies.values(), *role.managed_policies.values()]),
        tags=_tags(role.tags),
    )
