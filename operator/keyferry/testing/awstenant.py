"""Somebody whose namespace has an identity at the AWS double: a ServiceAccount, its role, its remote secrets.

Remote names begin with the namespace's name, so that tests do not meet each other in AWS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from keyferry.api import names
from keyferry.testing.aws import Administrator, CallRecord, StrictAws
from keyferry.testing.aws.administrator import PARAMETER_ACTIONS
from keyferry.testing.builders import Object, secret, store
from keyferry.testing.tenant import Tenant

REGION: Final = "eu-central-1"
ROLE_ANNOTATION: Final = "eks.amazonaws.com/role-arn"
ACCOUNT_NAME: Final = "app"


class AWSTenant:
    """See the module's docstring.

    Args:
        tenant: who works in the namespace.
        aws: the double.
        administrator: who sets it up.
    """

    def __init__(self, tenant: Tenant, aws: StrictAws, administrator: Administrator) -> None:
        self.tenant = tenant
        self.administrator = administrator
        self._aws = aws

    @property
    def namespace(self) -> str:
        """The namespace."""
        return self.tenant.namespace

    @property
    def principal(self) -> str:
        """A glob over the ARNs of the role's sessions, for faults and the call log."""
        return f"arn:aws:sts::*:assumed-role/{self.namespace}/*"

    # -- remote secrets

    def key(self, name: str) -> str:
        """The remote name of a secret of this namespace."""
        return f"{self.namespace}/{name}"

    def put(
        self, name: str, value: str | bytes | Mapping[str, Any], tags: Mapping[str, str] | None = None
    ) -> str:
        """Create a remote secret or give it a new value, and tags to those that it has; its remote name."""
        self.administrator.put_secret(self.key(name), value, tags=tags)
        return self.key(name)

    # -- parameters

    def path(self, name: str = "") -> str:
        """The remote name of a parameter of this namespace; without a name, where they lie."""
        return f"/{self.namespace}/{name}"

    def put_parameter(self, name: str, value: str, **more: Any) -> str:
        """Create a parameter or give it a new version; its remote name.

        Args:
            more: arguments of `Administrator.put_parameter`.
        """
        self.administrator.put_parameter(self.path(name), value, **more)
        return self.path(name)

    def parameter_role(
        self,
        actions: Iterable[str] = PARAMETER_ACTIONS,
        *,
        name: str = "",
        account: str = ACCOUNT_NAME,
        **more: Any,
    ) -> str:
        """A role for a ServiceAccount, which may read the namespace's parameters; its ARN.

        Args:
            actions: what it may do with them, without `ssm:`.
            name: its name; the namespace's if left out.
            account: the ServiceAccount.
            more: arguments of `Administrator.parameter_policy`.
        """
        policy = self.administrator.parameter_policy([self.path("*")], actions, **more)
        return self.administrator.role_for_service_account(
            name or self.namespace, self.namespace, account, policy=policy
        )

    def parameter_calls(self) -> list[CallRecord]:
        """Calls to Parameter Store by the namespace's role."""
        return self._aws.control.calls(service="ssm", principal=self.principal)

    # -- identities

    def role(
        self,
        *,
        allow: str = "*",
        batch: bool = True,
        find: bool = False,
        name: str = "",
        account: str = ACCOUNT_NAME,
    ) -> str:
        """A role for a ServiceAccount of the namespace; its ARN.

        Args:
            allow: which of the namespace's remote secrets it may read, as a pattern; empty for none.
            batch: whether it may read in batches.
            find: whether it may search.
            name: its name; the namespace's if left out.
            account: the ServiceAccount.
        """
        policy = self.administrator.read_policy([self.key(allow)], batch=batch, find=find) if allow else ""
        return self.administrator.role_for_service_account(
            name or self.namespace, self.namespace, account, policy=policy
        )

    def account(self, role: str, name: str = ACCOUNT_NAME) -> Object:
        """A ServiceAccount that stands for a role; without one if empty."""
        annotations = {"annotations": {ROLE_ANNOTATION: role}} if role else {}
        return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, **annotations}}

    def keys(self, name: str = "aws-keys", *, allow: str = "*") -> Object:
        """A Secret with the access key of a user who may read the namespace's remote secrets."""
        policy = self.administrator.read_policy([self.key(allow)])
        made = self.administrator.create_user(f"{self.namespace}-{name}", policy=policy)
        return secret(name, {"id": made.access_key_id, "secret": made.secret_access_key})

    # -- stores

    def store(
        self, *, name: str = "store", cluster: bool = False, controller: str = "", **block: Any
    ) -> Object:
        """A store that asks AWS as ServiceAccount `app` of the namespace where that makes sense.

        Args:
            name: its name.
            cluster: make it a ClusterSecretStore.
            controller: spec.controller.
            block: fields of the aws block, by their names on the wire.
        """
        auth = {"jwt": {"serviceAccountRef": {"name": ACCOUNT_NAME}}}
        provider = {"aws": {"service": "SecretsManager", "region": REGION, "auth": auth} | block}
        spec: Object = {"provider": provider} | ({"controller": controller} if controller else {})
        return store(name=name, cluster=cluster, **spec)

    @staticmethod
    def key_auth(name: str = "aws-keys", **where: str) -> Object:
        """An auth block for a Secret as `keys` makes it."""
        return {
            "secretRef": {
                "accessKeyIDSecretRef": {"name": name, "key": "id", **where},
                "secretAccessKeySecretRef": {"name": name, "key": "secret", **where},
            }
        }

    def move_in(self, *, find: bool = False, **store_changes: Any) -> str:
        """Create ServiceAccount, role and store, and wait until the store is ready; the role's ARN."""
        role = self.role(find=find)
        self.tenant.create(self.account(role), self.store(**store_changes))
        self.tenant.wait_told("store", "Valid", names.SECRET_STORE)
        return role

    # -- what was asked

    def reads(self, name: str = "") -> list[CallRecord]:
        """Calls to Secrets Manager that name one of the namespace's secrets, or this one."""
        return [
            call
            for call in self._aws.control.calls(service="secretsmanager", secret=self.key(name or "*"))
            if not call.principal.endswith(":user/keyferry-administrator")
        ]

    def calls(self) -> list[CallRecord]:
        """All calls since the test began, whoever made them."""
        return self._aws.control.calls()

    def exchanges(self) -> list[CallRecord]:
        """Calls to STS with a token of one of the namespace's ServiceAccounts."""
        prefix = f"system:serviceaccount:{self.namespace}:"
        return [call for call in self._aws.control.calls(service="sts") if call.subject.startswith(prefix)]
