"""What the demo shows, act by act: each does something as a user would, waits for what comes of it, and tells.

Every number is measured, every sentence about the cluster was read there. Secret values are compared and
never shown. How things look is in `timeline`, how they run in `stage`.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

from keyferry.cli.demo import shipped
from keyferry.cli.demo.failure import DemoFailed
from keyferry.cli.demo.stage import COLLECTIONS, NAMESPACE, Stage
from keyferry.cli.demo.timeline import Mood, Timeline, duration
from keyferry.cli.demo.watch import Object, Sight
from keyferry.testing.aws import Administrator
from keyferry.testing.kubeclient import KubeClient
from keyferry.testing.leaks import canary

STORE_KEY: Final = "db/prod"
BILLING_KEY: Final = "billing/token"
USERNAME: Final = "shop"
ROLE: Final = "app"
SERVICE_ACCOUNT: Final = "app"
"""The ServiceAccount that may take the role."""
TARGET: Final = "db"
"""The Secret, and the ExternalSecret of the same name."""
TYPO, CORRECTION = "pasword", "password"

Condition = Callable[[Object | None], bool]


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
            LocalClusterError: the control plane does not start, or kubectl is refused.
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
        stage.install()
        tell.event(
            "cluster", f"kube-apiserver {version} with etcd; CRDs, policies and RBAC of Keyferry installed"
        )
        stage.start_aws()
        self._set_up_aws()
        told = f'stand-in: secret {STORE_KEY}; role "{ROLE}" reads db/*, for ServiceAccount {NAMESPACE}/{SERVICE_ACCOUNT}'
        tell.event("AWS", told)
        _check_permissions(stage.start_operator())
        pid = stage.programs.operator_pid
        tell.event(
            "operator", f"keyferry run, process {pid}, with that RBAC alone: it may not even list Pods"
        )

    def _set_up_aws(self) -> None:
        self._administrator = self._stage.aws.administrator()
        self._administrator.trust_cluster(self._stage.cluster.issuer, self._stage.cluster.ca_pem)
        self._administrator.role_for_service_account(ROLE, NAMESPACE, SERVICE_ACCOUNT, allow=["db/*"])
        self._store_password("first")
        self._administrator.put_secret(BILLING_KEY, canary("demo-billing-token"))

    def _store_password(self, generation: str) -> dict[str, bytes]:
        """Write a password into the store; what the Secret has to hold from then on."""
        value = {"username": USERNAME, "password": canary(f"demo-password-{generation}")}
        self._administrator.put_secret(STORE_KEY, value)
        return {name: text.encode() for name, text in value.items()}

    # Acts

    def _synced(self) -> None:
        stage, tell = self._stage, self._tell
        wanted = {"username": USERNAME.encode(), "password": canary("demo-password-first").encode()}
        tell.command(f"kubectl -n {NAMESPACE} apply -f {shipped.from_here(shipped.TEAM_A)}")
        tell.block(shipped.TEAM_A.read_text("utf-8"))
        tell.lines()
        stage.cluster.kubectl("-n", NAMESPACE, "apply", "-f", str(shipped.TEAM_A))
        tell.doing("waiting for the Secret")
        applied = self._wait("externalsecrets", TARGET, lambda body: body is not None)
        secret = self._wait("secrets", TARGET, lambda body: _data(body) == wanted)
        self._tell_identity()
        took = duration(secret.at - applied.at)
        tell.event(
            "synced",
            f'Secret "{TARGET}" is there {took} after its ExternalSecret, equal to the store:',
            Mood.GOOD,
        )
        tell.more(_described(_data(secret.body)))

    def _tell_identity(self) -> None:
        calls = self._stage.aws.control.calls(service="sts", action="AssumeRoleWithWebIdentity")
        exchange = next((call for call in calls if call.status == 200), None)
        if exchange is None:
            raise DemoFailed("AWS STS saw no exchange of a ServiceAccount's token")
        told = "AWS STS verified the ServiceAccount's token, so no AWS key is needed (IRSA):"
        self._tell.event("identity", told)
        self._tell.more(f"{exchange.subject} became {exchange.role_arn}")

    def _rotated(self) -> None:
        self._tell.doing("a new password goes into the store")
        began = time.monotonic()
        wanted = self._store_password("second")
        secret = self._wait("secrets", TARGET, lambda body: _data(body) == wanted, after=began)
        took, mark = duration(secret.at - began), _fingerprint(wanted["password"])
        told = f"a new password in the store reaches the Secret {took} later, fingerprint {mark}"
        self._tell.event("rotated", told, Mood.GOOD)

    def _repaired(self) -> None:
        wanted = _data(self._stage.watch.latest("secrets", TARGET))
        began = time.monotonic()
        self._stage.cluster.kubectl("-n", NAMESPACE, "delete", "secret", TARGET)
        deleted = self._wait("secrets", TARGET, lambda body: body is None, after=began)
        secret = self._wait("secrets", TARGET, lambda body: _data(body) == wanted, after=deleted.at)
        took = duration(secret.at - deleted.at)
        self._tell.event("repaired", f"kubectl delete secret {TARGET}: it is back {took} later", Mood.GOOD)

    def _outage(self) -> None:
        stage, tell = self._stage, self._tell
        path = f"{COLLECTIONS['secrets']}/{TARGET}"
        before = stage.kube.get(path)
        tell.doing("the store stops answering")
        began = time.monotonic()
        stage.aws.control.outage("refuse")
        failed = self._wait("externalsecrets", TARGET, _has_failed, after=began)
        if stage.kube.get(path) != before:
            raise DemoFailed(f"Secret {NAMESPACE}/{TARGET} changed during the outage")
        told = "the store is unreachable. The Secret stays; its ExternalSecret is not Ready:"
        tell.event("outage", told, Mood.BAD)
        tell.quote(_message(failed.body))
        tell.doing("the store answers again")
        began = time.monotonic()
        stage.aws.control.outage("none")
        ready = self._wait("externalsecrets", TARGET, _is_ready, after=began)
        took = duration(ready.at - began)
        tell.event("recovered", f"the store is back: Ready again {took} later, without a restart", Mood.GOOD)

    def _mistakes(self) -> None:
        tell = self._tell
        self._stage.cluster.kubectl("-n", NAMESPACE, "apply", "-f", str(shipped.MISTAKES))
        failed = self._wait("externalsecrets", "typo", _has_failed)
        tell.event(
            "mistake 1", f"an ExternalSecret asks {STORE_KEY} for a property that is not there:", Mood.BAD
        )
        tell.quote(_cause(failed.body))
        failed = self._wait("externalsecrets", "billing", _has_failed)
        tell.event("mistake 2", "another asks for a secret that the role may not read:", Mood.BAD)
        tell.quote(_cause(failed.body))
        tell.doing("both are corrected")
        first, second = duration(self._correct_typo()), duration(self._grant())
        tell.event(
            "fixed", f"1 by an edit: synced {first} later. 2 by a policy at AWS: {second} later", Mood.GOOD
        )

    def _correct_typo(self) -> float:
        """Correct the property's name; seconds from the edit until the object is synced."""
        began = time.monotonic()
        corrected = shipped.MISTAKES.read_text("utf-8").replace(TYPO, CORRECTION)
        self._stage.cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", input=corrected)
        edited = self._wait(
            "externalsecrets",
            "typo",
            lambda body: TYPO not in json.dumps((body or {}).get("spec")),
            after=began,
        )
        ready = self._wait("externalsecrets", "typo", _is_ready, after=edited.at)
        return ready.at - edited.at

    def _grant(self) -> float:
        """Let the role read the other secret too; seconds from then until the object is synced."""
        policy = self._administrator.read_policy(["billing/*"])
        iam = self._administrator.client("iam")
        began = time.monotonic()
        iam.put_role_policy(RoleName=ROLE, PolicyName="billing", PolicyDocument=policy)
        return self._wait("externalsecrets", "billing", _is_ready, after=began).at - began

    def _wait(self, collection: str, name: str, condition: Condition, after: float = 0.0) -> Sight:
        """As `Watch.wait`; a failure also tells what the ExternalSecret says."""
        try:
            return self._stage.watch.wait(collection, name, condition, after=after)
        except DemoFailed as failure:
            says = _message(self._stage.watch.latest("externalsecrets", name)) or "no condition yet"
            details = [f'ExternalSecret "{name}" says: {says}', *failure.details]
            raise DemoFailed(failure.message, hint=failure.hint, details=details) from None


def _check_permissions(operator: KubeClient) -> None:
    """That the operator has its own RBAC and no more, asked with its own token."""
    review = operator.post(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {"spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}}},
    )
    if review["status"]["allowed"]:
        raise DemoFailed("the operator may list Pods, which its RBAC does not allow")


def _ready(body: Object | None) -> Mapping[str, str]:
    conditions = (body or {}).get("status", {}).get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


def _is_ready(body: Object | None) -> bool:
    return _ready(body).get("status") == "True"


def _has_failed(body: Object | None) -> bool:
    return _ready(body).get("status") == "False"


def _message(body: Object | None) -> str:
    return _ready(body).get("message", "")


def _cause(body: Object | None) -> str:
    """The end of the condition's message: what went wrong, without what was being done and where."""
    message = _message(body)
    _, found, cause = message.rpartition(", err: ")
    if cause.startswith('SecretStore "'):
        _, _, cause = cause.partition('": ')
    return f"... {cause}" if found else message


def _data(secret: Object | None) -> dict[str, bytes]:
    data = (secret or {}).get("data") or {}
    return {name: base64.b64decode(text) for name, text in data.items()}


def _described(data: Mapping[str, bytes]) -> str:
    """The keys, and of each value its length and a fingerprint; never a value."""
    return "; ".join(
        f"{name}: {len(value)} bytes, fingerprint {_fingerprint(value)}" for name, value in data.items()
    )


_FINGERPRINT_KEY: Final = secrets.token_bytes(32)


def _fingerprint(value: bytes) -> str:
    """Tells two values of one run apart and nothing else about them: the key is new in each run, and forgotten."""
    return hmac.digest(_FINGERPRINT_KEY, value, "sha256").hex()[:6]
