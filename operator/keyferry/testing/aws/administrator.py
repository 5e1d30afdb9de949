"""The administrator's side of the AWS double: secrets, users, roles and trust, in one call each.

Works over AWS's own API with boto3, as a user who may do everything, so that what tests and demo set
up passes through the same door as everything else.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from keyferry.testing.aws.wire import partition_of

if TYPE_CHECKING:
    from keyferry.testing.aws.client import AwsControl

STS_AUDIENCE: Final = "sts.amazonaws.com"
_THUMBPRINT: Final = "0" * 40
_STANDARD_BYTES: Final = 4096
PARAMETER_ACTIONS: Final = ("GetParameter", "GetParameters", "GetParametersByPath", "ListTagsForResource")
"""What reads parameters, one by one and together."""


@dataclass(frozen=True, slots=True)
class AccessKeys:
    """Credentials as a Secret would hold them."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


class Administrator:
    """One who may do everything in an account.

    Args:
        endpoint: the double's address.
        keys: access key id and secret key.
        region: where the secrets are.
        account: the account.
        control: the double's control API, which is told about trusted issuers.
    """

    def __init__(
        self, *, endpoint: str, keys: tuple[str, str], region: str, account: str, control: AwsControl
    ) -> None:
        self.region = region
        self.account = account
        self.partition = partition_of(region)
        self._endpoint = endpoint
        self._keys = keys
        self._control = control
        self._issuer = ""

    def client(self, service: str) -> Any:
        """The boto3 client of a service, with the administrator's rights."""
        return _client(service, self._endpoint, self._keys, self.region)

    # Secrets

    def put_secret(
        self,
        name: str,
        value: str | bytes | Mapping[str, Any],
        *,
        stages: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create a secret, or give it a new version; the version's id.

        Args:
            name: the secret's name.
            value: text, bytes (SecretBinary), or a mapping that becomes a JSON object.
            stages: the stages of a new version of a secret that exists; AWSCURRENT if left out.
            tags: tags to add.
        """
        client = self.client("secretsmanager")
        if isinstance(value, bytes):
            given: dict[str, Any] = {"SecretBinary": value}
        else:
            given = {"SecretString": value if isinstance(value, str) else json.dumps(value)}
        try:
            how = {"VersionStages": list(stages)} if stages else {}
            answer = client.put_secret_value(SecretId=name, **given, **how)
        except client.exceptions.ResourceNotFoundException:
            answer = client.create_secret(Name=name, **given)
        if tags:
            listed = [{"Key": key, "Value": text} for key, text in tags.items()]
            client.tag_resource(SecretId=name, Tags=listed)
        return str(answer["VersionId"])

    def secret_arn(self, name: str) -> str:
        """The full ARN of a secret."""
        return str(self.client("secretsmanager").describe_secret(SecretId=name)["ARN"])

    def delete_secret(self, name: str, *, recovery_days: int = 0) -> None:
        """Delete a secret at once, or mark it for deletion in so many days (7 to 30)."""
        how: dict[str, Any] = (
            {"RecoveryWindowInDays": recovery_days} if recovery_days else {"ForceDeleteWithoutRecovery": True}
        )
        self.client("secretsmanager").delete_secret(SecretId=name, **how)

    def restore_secret(self, name: str) -> None:
        """Take back the mark for deletion."""
        self.client("secretsmanager").restore_secret(SecretId=name)

    # Parameters

    def put_parameter(
        self,
        name: str,
        value: str,
        *,
        kind: str = "String",
        key_id: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create a parameter, or give it a new version; the version's number.

        Args:
            name: the parameter's name.
            value: its value; one that is too large for the standard tier makes it an advanced one.
            kind: `String`, `StringList` or `SecureString`.
            key_id: the KMS key of a SecureString; the account's own if left out.
            tags: tags to add.
        """
        client = self.client("ssm")
        tier = "Advanced" if len(value.encode()) > _STANDARD_BYTES else "Standard"
        key = {"KeyId": key_id} if key_id else {}
        answer = client.put_parameter(Name=name, Value=value, Type=kind, Overwrite=True, Tier=tier, **key)
        if tags:
            listed = [{"Key": key, "Value": text} for key, text in tags.items()]
            client.add_tags_to_resource(ResourceType="Parameter", ResourceId=name, Tags=listed)
        return str(answer["Version"])

    def label_parameter(self, name: str, label: str, version: str) -> None:
        """Give a version of a parameter a label; another version loses it."""
        number = int(version)
        self.client("ssm").label_parameter_version(Name=name, ParameterVersion=number, Labels=[label])

    def delete_parameter(self, name: str) -> None:
        """Delete a parameter."""
        self.client("ssm").delete_parameter(Name=name)

    def parameter_arn(self, name: str) -> str:
        """The ARN of a parameter, whether it exists or not; of several with `*` in the name."""
        return f"arn:{self.partition}:ssm:{self.region}:{self.account}:parameter/{name.removeprefix('/')}"

    def share_parameter(self, name: str, account: str) -> str:
        """Let another account read a parameter; its ARN, by which that account asks for it."""
        arn = self.parameter_arn(name)
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{self.partition}:iam::{account}:root"},
            "Action": ["ssm:GetParameter", "ssm:GetParameters"],
            "Resource": arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client("ssm").put_resource_policy(ResourceArn=arn, Policy=policy)
        return arn

    def create_key(self) -> str:
        """A KMS key, which policies of the account decide about; its ARN."""
        return str(self.client("kms").create_key()["KeyMetadata"]["Arn"])

    def disable_key(self, arn: str) -> None:
        """Switch a KMS key off."""
        self.client("kms").disable_key(KeyId=arn.rpartition("/")[2])

    # Identities

    def create_user(self, name: str, *, allow: Iterable[str] = (), policy: str = "") -> AccessKeys:
        """A user with an access key.

        Args:
            name: the user's name.
            allow: patterns of secret names that it may read, see `read_policy`.
            policy: another policy, as JSON.
        """
        iam = self.client("iam")
        iam.create_user(UserName=name)
        for number, document in enumerate(self._policies(allow, policy)):
            iam.put_user_policy(UserName=name, PolicyName=f"policy-{number}", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return AccessKeys(key["AccessKeyId"], key["SecretAccessKey"])

    def trust_cluster(self, issuer: str, ca_pem: str, audiences: Sequence[str] = (STS_AUDIENCE,)) -> str:
        """Trust a cluster's ServiceAccount tokens, in place of an earlier trust; the OIDC provider's ARN.

        Args:
            issuer: the cluster's issuer URL.
            ca_pem: the CA of the server that publishes its discovery document.
            audiences: the audiences that its tokens may have.
        """
        self._control.trust_issuer(issuer, ca_pem)
        self._issuer = issuer.removeprefix("https://").rstrip("/")
        iam = self.client("iam")
        arn = f"arn:{self.partition}:iam::{self.account}:oidc-provider/{self._issuer}"
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)  # no error if there is none
        iam.create_open_id_connect_provider(
            Url=issuer, ThumbprintList=[_THUMBPRINT], ClientIDList=list(audiences)
        )
        return arn

    def role_for_service_account(
        self, name: str, namespace: str, service_account: str, *, allow: Iterable[str] = (), policy: str = ""
    ) -> str:
        """A role for one ServiceAccount of the trusted cluster; its ARN.

        Args:
            name: the role's name.
            namespace, service_account: whose tokens it takes.
            allow: patterns of secret names that it may read, see `read_policy`.
            policy: another policy, as JSON, for example `assume_policy`.
        """
        if not self._issuer:
            raise RuntimeError("trust_cluster comes first")
        subject = f"system:serviceaccount:{namespace}:{service_account}"
        statement = {
            "Effect": "Allow",
            "Principal": {
                "Federated": f"arn:{self.partition}:iam::{self.account}:oidc-provider/{self._issuer}"
            },
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {f"{self._issuer}:sub": subject, f"{self._issuer}:aud": STS_AUDIENCE}
            },
        }
        return self.create_role(name, trust=statement, allow=allow, policy=policy)

    def role_for_principals(
        self,
        name: str,
        principals: Sequence[str],
        *,
        allow: Iterable[str] = (),
        external_id: str = "",
        tags: Mapping[str, str] | None = None,
        may_tag: bool = False,
    ) -> str:
        """A role that other principals may assume; its ARN.

        Args:
            name: the role's name.
            principals: ARNs of roles, users, or `arn:aws:iam::ACCOUNT:root`.
            allow: patterns of secret names that it may read, see `read_policy`.
            external_id: the external id that they must present; empty for none.
            tags: session tags that they must pass, with these values; implies `may_tag`.
            may_tag: whether they may pass session tags.
        """
        actions = ["sts:AssumeRole", *(["sts:TagSession"] if may_tag or tags else [])]
        wanted = {f"aws:RequestTag/{key}": value for key, value in (tags or {}).items()}
        if external_id:
            wanted["sts:ExternalId"] = external_id
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Principal": {"AWS": list(principals)},
            "Action": actions,
        }
        if wanted:
            statement["Condition"] = {"StringEquals": wanted}
        return self.create_role(name, trust=statement, allow=allow)

    def create_role(
        self,
        name: str,
        *,
        trust: Mapping[str, Any],
        allow: Iterable[str] = (),
        policy: str = "",
        max_session_s: int = 3600,
    ) -> str:
        """A role with one statement as its trust policy; its ARN."""
        iam = self.client("iam")
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=document, MaxSessionDuration=max_session_s
        )["Role"]
        for number, one in enumerate(self._policies(allow, policy)):
            iam.put_role_policy(RoleName=name, PolicyName=f"policy-{number}", PolicyDocument=one)
        return str(role["Arn"])

    # Policies

    def _policies(self, allow: Iterable[str], policy: str) -> list[str]:
        patterns = list(allow)
        return [*([self.read_policy(patterns)] if patterns else []), *([policy] if policy else [])]

    def read_policy(self, patterns: Iterable[str], *, batch: bool = True, find: bool = False) -> str:
        """A policy that allows reading secrets, as JSON.

        Args:
            patterns: names with `*` and `?`; a name without a final `*` gets AWS's random suffix added.
            batch: whether BatchGetSecretValue is allowed (which AWS only allows for all secrets at once).
            find: whether ListSecrets is allowed (the same).
        """
        arns = [
            f"arn:{self.partition}:secretsmanager:*:{self.account}:secret:{one}"
            + ("" if one.endswith("*") else "-??????")
            for one in patterns
        ]
        read = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
        statements = [{"Effect": "Allow", "Action": read, "Resource": arns}]
        calls = [name for name, may in (("BatchGetSecretValue", batch), ("ListSecrets", find)) if may]
        if calls:
            actions = [f"secretsmanager:{name}" for name in calls]
            statements.append({"Effect": "Allow", "Action": actions, "Resource": ["*"]})
        return json.dumps({"Version": "2012-10-17", "Statement": statements})

    def parameter_policy(
        self,
        patterns: Iterable[str],
        actions: Iterable[str] = PARAMETER_ACTIONS,
        *,
        find: bool = False,
        keys: Iterable[str] = (),
    ) -> str:
        """A policy that allows reading parameters, as JSON.

        Args:
            patterns: names with `*` and `?`.
            actions: what may be done with them, without `ssm:`.
            find: whether DescribeParameters is allowed (which AWS only allows for all parameters at once).
            keys: ARNs of KMS keys that may decrypt.
        """
        arns = [self.parameter_arn(one) for one in patterns]
        statements = [{"Effect": "Allow", "Action": [f"ssm:{one}" for one in actions], "Resource": arns}]
        if find:
            statements.append({"Effect": "Allow", "Action": ["ssm:DescribeParameters"], "Resource": ["*"]})
        if keys := list(keys):
            statements.append({"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": keys})
        return json.dumps({"Version": "2012-10-17", "Statement": statements})

    @staticmethod
    def assume_policy(role_arns: Sequence[str]) -> str:
        """A policy that allows assuming these roles and tagging the sessions, as JSON."""
        statement = {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Resource": list(role_arns),
        }
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@functools.cache
def _session() -> Any:
    import boto3

    return boto3.session.Session()


@functools.lru_cache(maxsize=32)
def _client(service: str, endpoint: str, keys: tuple[str, str], region: str) -> Any:
    from botocore.config import Config

    access_key_id, secret_access_key = keys
    return _session().client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        config=Config(retries={"total_max_attempts": 1}),
    )
