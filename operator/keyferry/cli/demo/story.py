"""What the demo shows, act by act: each does something as a user would, waits for what comes of it, and tells.

Every number is measured, every sentence about the cluster was read there. Secret values are compared and
never shown.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

from keyferry.cli.demo import shipped
from keyferry.cli.demo.failure import DemoFailed
from keyferry.cli.demo.stage import NAMESPACE, OPERATOR, Stage
from keyferry.cli.demo.timeline import Mood, Timeline, duration
from keyferry.cli.demo.watch import Object, Sight
from keyferry.testing.aws import Administrator
from keyferry.testing.kubeclient import KubeClient
from keyferry.testing.leaks import canary

STORE_KEY: Final = "db/prod"
BILLING_KEY: Final = "billing/token"
ROLE: Final = "app"
ACCOUNT: Final = "app"
"""The ServiceAccount that may take the role."""
SECRET: Final = "db"
TYPO, CORRECTION = "property: pasword", "property: password"
OUTAGE: Final = "refuse"


class Story:
    """The acts, in the order in which `play` calls them.

    Args:
        stage: what it is played on.
        timeline: where it is told.
    """

    def __init__(self, stage: Stage, timeline: Timeline) -> None:
        self._stage = stage
        self._tell = timeline
        self._administrator: Administrator

    def play(self) -> None:
        """All acts.

        Raises:
            DemoFailed: something did not come as it should.
        """
        self._set_up()
        self._synced()
        self._rotated()
        self._repaired()
        self._outage()
        self._mistakes()

    # Setting up

    def _set_up(self) -> None:
        stage, tell = self._stage, self._tell
        stage.start_cluster()
        version = stage.kube.get("/version")["gitVersion"]
        tell.event(
            "cluster", f"kube-apiserver {version}, etcd and kube-controller-manager: {stage.cluster.server}"
        )
        stage.install()
        tell.event(
            "installed", "CRDs, admission policies and the operator's RBAC, as the repository ships them"
        )
        stage.start_aws()
        self._set_up_aws()
        tell.event(
            "AWS double", f'{stage.aws.endpoint} holds secret "{STORE_KEY}". Role "{ROLE}" may read db/*'
        )
        tell.more(f"and can be taken by one identity: ServiceAccount {NAMESPACE}/{ACCOUNT} of this cluster.")
        permissions = _lacks(stage.start_operator())
        tell.event(
            "operator", f"`keyferry run` is ready, process {stage.programs.operator_pid}. {permissions}"
        )

    def _set_up_aws(self) -> None:
        self._administrator = self._stage.aws.administrator()
        self._administrator.trust_cluster(self._stage.cluster.issuer, self._stage.cluster.ca_pem)
        self._administrator.role_for_service_account(ROLE, NAMESPACE, ACCOUNT, allow=["db/*"])
        self._store_password("first")
        self._administrator.put_secret(BILLING_KEY, canary("demo-billing-token"))

    def _store_password(self, generation: str) -> Mapping[str, bytes]:
        value = {"username": "shop", "password": canary(f"demo-password-{generation}")}
        self._administrator.put_secret(STORE_KEY, value)
        return {name: text.encode() for name, text in value.items()}

    # Acts

    def _synced(self) -> None:
        stage, tell = self._stage, self._tell
        wanted = {"username": b"shop", "password": canary("demo-password-first").encode()}
        tell.command(f"kubectl apply -f {shipped.from_here(shipped.TEAM_A)}")
        tell.block(shipped.TEAM_A.read_text("utf-8"))
        tell.lines()
        stage.cluster.kubectl("apply", "-f", str(shipped.TEAM_A))
        tell.doing("waiting for the Secret")
        applied = stage.watch.wait("externalsecrets", SECRET, _exists)
        secret = self._wait("secrets", SECRET, lambda body: _holds(body, wanted))
        self._tell_identity()
        tell.event(
            "synced",
            f"Secret {NAMESPACE}/{SECRET} is there {duration(secret.at - applied.at)} after the ExternalSecret,",
            Mood.GOOD,
        )
        tell.more(f"with the store's bytes: {_described(secret.body)}")

    def _tell_identity(self) -> None:
        calls = self._stage.aws.control.calls(service="sts", action="AssumeRoleWithWebIdentity")
        exchange = next((call for call in calls if call.status == 200), None)
        if exchange is None:
            raise DemoFailed("the AWS double saw no token exchange", hint="Its call log is empty of it")
        self._tell.event(
            "identity",
            "the ServiceAccount's token was checked by AWS STS and exchanged (IRSA, no stored keys):",
        )
        self._tell.more(f"{exchange.subject} is now {exchange.role_arn}")

    def _rotated(self) -> None:
        tell = self._tell
        tell.doing("writing a new password into the store")
        began = time.monotonic()
        wanted = self._store_password("second")
        secret = self._wait("secrets", SECRET, lambda body: _holds(body, wanted), after=began)
        tell.event(
            "rotated",
            f"a new password in the store is in the Secret after {duration(secret.at - began)} (refreshInterval: 2s)",
            Mood.GOOD,
        )
        tell.more(_described(secret.body))

    def _repaired(self) -> None:
        wanted = _data(self._stage.watch.latest("secrets", SECRET))
        began = time.monotonic()
        self._stage.cluster.kubectl("-n", NAMESPACE, "delete", "secret", SECRET)
        deleted = self._wait("secrets", SECRET, lambda body: body is None, after=began)
        secret = self._wait("secrets", SECRET, lambda body: _holds(body, wanted), after=deleted.at)
        took = duration(secret.at - deleted.at)
        self._tell.event("repaired", f"`kubectl delete secret {SECRET}`: it is back after {took}", Mood.GOOD)

    def _outage(self) -> None:
        stage, tell = self._stage, self._tell
        before = stage.watch.latest("secrets", SECRET)
        tell.doing("the store stops answering")
        began = time.monotonic()
        stage.aws.control.outage(OUTAGE)
        seen = self._wait("externalsecrets", SECRET, _has_failed, after=began)
        tell.event("outage", "the AWS double refuses connections. The ExternalSecret says why:", Mood.BAD)
        tell.quote(_reason_and_message(seen.body))
        if stage.watch.latest("secrets", SECRET) != before:
            raise DemoFailed(f"Secret {NAMESPACE}/{SECRET} changed during the outage")
        tell.more(f"Secret {NAMESPACE}/{SECRET} is kept as it was.")
        tell.doing("the store answers again")
        began = time.monotonic()
        stage.aws.control.outage("none")
        seen = self._wait("externalsecrets", SECRET, _is_ready, after=began)
        tell.event(
            "recovered",
            f"{duration(seen.at - began)} after the store was back: Ready again, the same process",
            Mood.GOOD,
        )

    def _mistakes(self) -> None:
        stage, tell = self._stage, self._tell
        stage.cluster.kubectl("apply", "-f", str(shipped.MISTAKES))
        seen = self._wait("externalsecrets", "typo", _has_failed)
        tell.event(
            "mistake 1", "a property that does not exist. The condition names those that do:", Mood.BAD
        )
        tell.quote(_reason_and_message(seen.body))
        seen = self._wait("externalsecrets", "billing", _has_failed)
        tell.event(
            "mistake 2", "a secret that the role may not read. The condition names who lacks what:", Mood.BAD
        )
        tell.quote(_reason_and_message(seen.body))
        began = time.monotonic()
        corrected = shipped.MISTAKES.read_text("utf-8").replace(TYPO, CORRECTION)
        stage.cluster.kubectl("apply", "-f", "-", input=corrected)
        edited = stage.watch.wait(
            "externalsecrets", "typo", lambda body: CORRECTION.split()[1] in json.dumps(body), after=began
        )
        typo = self._wait("externalsecrets", "typo", _is_ready, after=began)
        tell.doing("the role may read billing/* now")
        granted = time.monotonic()
        self._administrator.client("iam").put_role_policy(
            RoleName=ROLE, PolicyName="billing", PolicyDocument=self._administrator.read_policy(["billing/*"])
        )
        billing = self._wait("externalsecrets", "billing", _is_ready, after=granted)
        tell.event("fixed", f"1 by an edit: synced {duration(typo.at - edited.at)} later,", Mood.GOOD)
        tell.more(f"2 by a policy at AWS: synced {duration(billing.at - granted)} later, by a retry.")

    def _wait(self, collection: str, name: str, condition: Any, after: float = 0.0) -> Sight:
        """As `Watch.wait`; a failure also tells what the ExternalSecret says."""
        try:
            return self._stage.watch.wait(collection, name, condition, after=after)
        except DemoFailed as failure:
            says = _reason_and_message(self._stage.watch.latest("externalsecrets", name))
            raise DemoFailed(
                failure.message, details=[f"ExternalSecret {name}: {says}", *failure.details]
            ) from None


def _lacks(operator: KubeClient) -> str:
    """What the operator's RBAC refuses it, asked with its own token."""
    attributes = {"verb": "list", "resource": "pods"}
    review = operator.post(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {"resourceAttributes": attributes}}
    )
    if review["status"]["allowed"]:
        raise DemoFailed("the operator may do more than its RBAC should allow: list Pods")
    return f"It is ServiceAccount {'/'.join(OPERATOR)} with the RBAC above (it may not even list Pods)."


def _exists(body: Object | None) -> bool:
    return body is not None


def _ready(body: Object | None) -> Mapping[str, str]:
    conditions = (body or {}).get("status", {}).get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


def _is_ready(body: Object | None) -> bool:
    return _ready(body).get("status") == "True"


def _has_failed(body: Object | None) -> bool:
    return _ready(body).get("status") == "False"


def _reason_and_message(body: Object | None) -> str:
    condition = _ready(body)
    return f"{condition['reason']}: {condition['message']}" if condition else "no condition yet"


def _data(secret: Object | None) -> dict[str, bytes]:
    data = (secret or {}).get("data") or {}
    return {name: base64.b64decode(text) for name, text in data.items()}


def _holds(secret: Object | None, wanted: Mapping[str, bytes]) -> bool:
    return secret is not None and _data(secret) == wanted


def _described(secret: Object | None) -> str:
    """The keys, and of each value its length and a fingerprint; never a value."""
    return ", ".join(
        f"{name} ({len(value)} bytes, {_fingerprint(value)})" for name, value in _data(secret).items()
    )


_FINGERPRINT_KEY: Final = secrets.token_bytes(32)


def _fingerprint(value: bytes) -> str:
    """Tells two values apart within one run, and tells nothing about a value: the key is forgotten."""
    return "#" + hmac.digest(_FINGERPRINT_KEY, value, "sha256").hex()[:6]
