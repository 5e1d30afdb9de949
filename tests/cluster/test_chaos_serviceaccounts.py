"""What stores' identities were made from changes while its watch is away: it is learnt when the watch is back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.awstenant import ROLE_ANNOTATION, AWSTenant
from keyferry.testing.builders import Object, entry, external_secret, secret
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import SYNC_S

ONE = canary("one")
RESOURCES = {"ServiceAccount": "serviceaccounts", "Secret": "secrets"}
NO_KEYS = {"id": "AKIAIOSFODNN7EXAMPLE", "secret": "wrong"}  # what AWS's documentation calls its example


class Auth:
    """A store and what its identity is made from, behind an operator's faulty way to the API server.

    Args:
        app: whose namespace and identity it is.
        proxy: the operator's way.
        kind: what the identity is made from: ServiceAccount or Secret.
    """

    def __init__(self, app: AWSTenant, proxy: ApiProxy, kind: str) -> None:
        self.app = app
        self.proxy = proxy
        self.kind = kind
        self.resource = RESOURCES[kind]
        self.name = "app" if kind == "ServiceAccount" else "aws-keys"
        self._role = app.role()
        self._good: Object = app.account(self._role) if kind == "ServiceAccount" else app.keys()

    def create(self, *, good: bool) -> None:
        """The auth object, which AWS takes or does not, and its store."""
        bad = (
            self.app.account(f"{self._role}-no-such")
            if self.kind == "ServiceAccount"
            else secret(self.name, NO_KEYS)
        )
        self.app.tenant.create(self._good if good else bad)
        auth = {} if self.kind == "ServiceAccount" else {"auth": self.app.key_auth()}
        self.app.tenant.create(self.app.store(controller="private", **auth))

    def mend(self) -> None:
        """Make AWS take it."""
        if self.kind == "ServiceAccount":
            self.app.tenant.annotate(self.kind, self.name, {ROLE_ANNOTATION: self._role})
        else:
            self.app.tenant.edit(self.kind, self.name, {"data": self._good["data"]})

    def wait_told(self, reason: str) -> None:
        """Wait for the store's condition."""
        self.app.tenant.wait_told("store", reason, kind="SecretStore")

    def lose_the_watch(self) -> Callable[[], None]:
        """From now on the operator sees nothing of the kind; the result ends that, and a list comes first."""
        faults = [self.proxy.hold(verb=verb, resource=self.resource) for verb in ("list", "watch")]
        self.proxy.reset_requests()
        assert self.proxy.send_watch_error(410, self.resource) == 1
        self.proxy.wait_for_no_watches(self.resource)

        def end() -> None:
            for fault in faults:
                self.proxy.remove(fault)
            self.proxy.wait_for_watches(1, self.resource, timeout_s=SYNC_S)
            assert self.proxy.count(verb="list", resource=self.resource) == 1

        return end


@pytest.fixture(params=RESOURCES)
def auth(request: pytest.FixtureRequest, app: AWSTenant, api_proxy: ApiProxy) -> Auth:
    return Auth(app, api_proxy, request.param)


Launch = Callable[..., OperatorProcess]


def test_change_in_a_gap_is_learnt(auth: Auth, private_operator: Launch, proxied_kubeconfig: Path) -> None:
    """No check of the store would find it: those keep the identity until its material changes."""
    auth.create(good=False)
    private_operator(kubeconfig=proxied_kubeconfig)
    auth.wait_told("InvalidProviderConfig")
    end = auth.lose_the_watch()
    auth.mend()
    end()

    auth.wait_told("Valid")


def test_deletion_in_a_gap_is_learnt(auth: Auth, private_operator: Launch, proxied_kubeconfig: Path) -> None:
    """No event had told of the object since the store used it."""
    auth.create(good=True)
    private_operator(kubeconfig=proxied_kubeconfig)
    auth.wait_told("Valid")
    end = auth.lose_the_watch()
    auth.app.tenant.delete(auth.kind, auth.name)
    end()

    auth.wait_told("InvalidProviderConfig")


def test_gap_in_which_nothing_changed_costs_no_store_a_check(
    auth: Auth, private_operator: Launch, proxied_kubeconfig: Path
) -> None:
    auth.create(good=True)
    remote = auth.app.put("db", ONE)
    operator = private_operator(kubeconfig=proxied_kubeconfig)
    auth.wait_told("Valid")
    auth.proxy.wait_for_watches(1, auth.resource)
    before = (operator.log.count("validated again"), len(auth.app.exchanges()))
    auth.lose_the_watch()()
    # Stores go first: when this is synced, none is left to be checked.
    auth.app.tenant.create(external_secret("app", entry("v", remote)))
    auth.app.tenant.wait_synced("app")

    assert (operator.log.count("validated again"), len(auth.app.exchanges())) == before
