"""Every failure of the port to other clusters is one of ours, in words that name what to do and nobody's answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

import keyferry.cli.process  # noqa: F401 - all modules of the operator: no kind of failure is forgotten
from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    CredentialsExpired,
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeGone,
    KubeInvalid,
    KubeLimit,
    KubeMalformed,
    KubeNotFound,
    KubeTimedOut,
    KubeUnavailable,
    KubeUnresolved,
    KubeUntrusted,
    Malformed,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    RetryKind,
    TimedOut,
    Unavailable,
    after,
    one_line,
)
from keyferry.providers.kubernetes.errors import TABLE, Asked, translated
from keyferry.testing.leaks import LeakDetector, canary

ASKED = Asked(
    "the API server at api.example.com", "spec.provider.kubernetes.server.url", "shop", ("get",), "db"
)
ROWS = [
    pytest.param(KubeForbidden, 403, AccessDenied, 'Grant it the verb "get" on secrets', id="denied"),
    pytest.param(KubeNotFound, 404, RemoteSecretNotFound, "Create it", id="absent"),
    pytest.param(KubeTimedOut, 0, TimedOut, "network", id="late"),
    pytest.param(KubeUnavailable, 0, Unavailable, "network", id="unreachable"),
    pytest.param(KubeUnavailable, 429, RateLimited, "refreshInterval", id="throttled"),
    pytest.param(KubeUnavailable, 503, Unavailable, "control plane", id="failing"),
    pytest.param(KubeUntrusted, 0, Unavailable, "caBundle", id="untrusted"),
    pytest.param(KubeUnresolved, 0, Unavailable, "server.url", id="unresolved"),
    pytest.param(KubeMalformed, 200, Malformed, "something else", id="malformed"),
    pytest.param(KubeGone, 410, Unavailable, "tried again", id="outdated-list"),
    pytest.param(KubeConflict, 409, ProviderError, "own log", id="conflict"),
    pytest.param(KubeInvalid, 422, ProviderError, "own log", id="invalid"),
    pytest.param(KubeError, 401, AuthFailed, "belong to that cluster", id="not-known"),
    pytest.param(KubeError, 302, ProviderError, "Set spec.provider", id="redirect"),
    pytest.param(KubeError, 400, ProviderError, "own log", id="bad-request"),
    pytest.param(KubeError, 0, ProviderError, "own log", id="anything-else"),
]


def kinds(of: type[KubeError]) -> Iterator[type[KubeError]]:
    yield of
    for below in of.__subclasses__():
        yield from kinds(below)


@pytest.mark.parametrize(("kind", "status", "expected", "advice"), ROWS)
def test_each_failure_is_told_with_advice_and_without_the_servers_words(
    kind, status, expected, advice
) -> None:
    failure = translated(kind(canary("words-of-the-server"), status=status), ASKED)

    assert expected is type(failure)
    assert advice in failure.hint
    assert "api.example.com" in failure.message or expected is RemoteSecretNotFound
    assert one_line(str(failure)) == str(failure)
    assert [] == LeakDetector().look_at_error("failure", failure)


def test_table_names_every_kind_of_failure() -> None:
    assert set() == {kind for kind in kinds(KubeError) if not any(base in TABLE for base in kind.__mro__)}
    assert set(TABLE) == {row.values[0] for row in ROWS} | {KubeLimit}


def test_bound_of_ours_is_told_in_its_own_words() -> None:
    failure = translated(KubeLimit("there are more than 20000"), replace(ASKED, key=""))

    assert ProviderError is type(failure)
    assert (
        'the Secrets of namespace "shop" at the API server at api.example.com are not watched: '
        "there are more than 20000"
    ) == failure.message


def test_pause_that_the_server_asks_for_is_kept() -> None:
    failure = translated(KubeUnavailable("", status=429, retry=after(7)), ASKED)

    assert (RetryKind.AFTER, 7) == (failure.retry.kind, failure.retry.seconds)


@pytest.mark.parametrize(("renewable", "expected"), [(True, CredentialsExpired), (False, AuthFailed)])
def test_token_that_can_be_renewed_is_renewed(renewable, expected) -> None:
    asked = Asked("x", "y", "shop", ("get",), renewable=renewable)

    assert expected is type(translated(KubeError("", status=401), asked))


def test_what_was_to_be_done_is_named_in_full() -> None:
    watch = Asked("this cluster's API server", "", "shop", ("list", "watch"))
    failure = translated(KubeForbidden("", status=403), watch)

    assert failure.message == (
        'this cluster\'s API server does not let this identity list and watch the Secrets of namespace "shop"'
    )
    assert 'the verbs "list" and "watch"' in failure.hint
