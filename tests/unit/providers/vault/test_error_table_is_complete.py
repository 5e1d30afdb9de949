"""The table of failures holds everything that hvac, requests and urllib3 can raise.

The lists are the libraries' own, so that a release with something new fails here until somebody has decided
what that means to the reader of a manifest.
"""

from __future__ import annotations

import inspect
import socket
import ssl

import hvac.exceptions
import pytest
import requests.exceptions
import urllib3.exceptions

from keyferry.errors import (
    AccessDenied,
    ForbiddenError,
    KeyferryError,
    Malformed,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    RetryKind,
    TimedOut,
    Unavailable,
    one_line,
)
from keyferry.providers.vault.call import Call, TooMuch
from keyferry.providers.vault.codes import HVAC, REQUESTS, STATUSES, URLLIB3, Meaning
from keyferry.providers.vault.errors import Asked, BadToken, redirected, translated, unreadable
from keyferry.testing.leaks import LeakDetector, canary

ASKED = Asked(
    "Vault",
    "vault.example.com",
    "spec.provider.vault.server",
    "team/data/db",
    namespace="org",
    what='remote secret "team/db"',
)
TYPES = {
    Meaning.DENIED: AccessDenied,
    Meaning.NOT_FOUND: RemoteSecretNotFound,
    Meaning.REQUEST: ProviderError,
    Meaning.THROTTLED: RateLimited,
    Meaning.SEALED: Unavailable,
    Meaning.SERVER_SIDE: Unavailable,
    Meaning.CONFLICT: Unavailable,
    Meaning.TIMED_OUT: TimedOut,
    Meaning.UNREACHABLE: Unavailable,
    Meaning.NAME: Unavailable,
    Meaning.TLS: Unavailable,
    Meaning.PROXY: Unavailable,
    Meaning.UNREADABLE: Malformed,
    Meaning.CALL: ProviderError,
    Meaning.UNKNOWN: ProviderError,
}
MODULES = {
    "hvac": (hvac.exceptions, HVAC),
    "requests": (requests.exceptions, REQUESTS),
    "urllib3": (urllib3.exceptions, URLLIB3),
}
SAID = f"{canary('vault-message')} 12345678-1234-1234-1234-123456789012"


def classes(library):
    """Names and classes of a library's exceptions, warnings left out."""
    module, _ = MODULES[library]
    return {
        cls.__name__: cls
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and issubclass(cls, Exception)
        and not issubclass(cls, Warning)
        and cls.__module__ == module.__name__
    }


def made(cls, *args):
    error = cls.__new__(cls)
    error.args = args
    return error


def refused(status, *errors, data=None, warnings=None, headers=None):
    """Our error for an answer of Vault, through hvac."""
    call = Call("GET", "team/data/db", status=status, answer_headers=headers or {})
    document = {"errors": list(errors), "data": data, "warnings": warnings}
    theirs = hvac.exceptions.VaultError.from_status(status, errors=list(errors), json=document, text=SAID)
    return translated(theirs, ASKED, call)


def check_text(error, leaks=None):
    assert error.hint
    assert one_line(str(error)) == str(error)
    assert "12345678" not in str(error)
    assert [] == LeakDetector().look_at_error("error", error)


@pytest.mark.parametrize("library", MODULES)
def test_every_exception_of_the_library_is_decided_about(library):
    _, table = MODULES[library]

    assert set(classes(library)) == set(table)


@pytest.mark.parametrize(
    ("library", "name"),
    [(library, name) for library, (_, table) in MODULES.items() for name in sorted(table)],
)
def test_every_exception_becomes_an_error_with_advice_and_without_its_text(library, name):
    _, table = MODULES[library]
    status = {"InternalServerError": 500, "BadGateway": 502, "VaultDown": 503}.get(name, 400)

    theirs = made(classes(library)[name], SAID)
    theirs.json = {"errors": [SAID]}

    ours = translated(theirs, ASKED, Call("GET", "x", status=status))

    expected = TYPES[table[name]]
    if table[name] is Meaning.UNKNOWN and library != "hvac":
        expected = Unavailable
    assert isinstance(ours, expected)
    check_text(ours)


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_status_without_an_exception_of_its_own_is_known(status):
    assert isinstance(refused(status, SAID), TYPES[STATUSES[status]])


def test_exception_of_a_later_release_means_what_its_ancestor_means():
    later = type("Later", (requests.exceptions.ReadTimeout,), {"__module__": "requests.later"})

    assert TimedOut is type(translated(made(later), ASKED, Call("GET", "x")))


@pytest.mark.parametrize(
    ("status", "errors", "expected", "words"),
    [
        (403, ("1 error occurred:\n\t* permission denied\n\n",), AccessDenied, 'path "team/data/db"'),
        (403, ("2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n",), BadToken, "token"),
        (403, ("bad token",), BadToken, "token"),
        (400, ("missing client token",), ProviderError, "wrong"),
        (404, (), RemoteSecretNotFound, 'remote secret "team/db" does not exist in namespace "org"'),
        (
            404,
            ('no handler for route "team/data/db". route entry not found.',),
            ProviderError,
            "no secrets engine",
        ),
        (404, ("namespace not found",), ProviderError, 'no namespace "org"'),
        (400, ("namespace not found",), ProviderError, 'no namespace "org"'),
        (503, ("Vault is sealed",), Unavailable, "is sealed"),
        (503, (), Unavailable, "sealed, not initialised, or in maintenance"),
        (501, ("server is not yet initialized",), Unavailable, "not initialised"),
        (500, ("local node not active but active cluster node not found",), Unavailable, "standby"),
        (429, ('request path "x": rate limit quota exceeded',), RateLimited, "fewer calls"),
        (429, ("lease count quota exceeded",), RateLimited, "no more leases"),
        (473, (), Unavailable, "sealed"),
        (412, ("required index state not present",), Unavailable, "not replicated"),
        (418, (), ProviderError, "something else than Vault"),
        (599, (), Unavailable, "its own side"),
    ],
)
def test_phrases_of_vault_tell_what_happened(status, errors, expected, words):
    error = refused(status, *errors)

    assert isinstance(error, expected)
    assert words in str(error)
    check_text(error)


def test_missing_secret_is_never_taken_for_a_missing_mount_or_namespace():
    """By "not found" Secrets are deleted."""
    told = [
        refused(404, 'no handler for route "a". route entry not found.'),
        refused(404, "namespace not found"),
        refused(403, "permission denied"),
        refused(503, "Vault is sealed"),
    ]

    assert [] == [error for error in told if isinstance(error, RemoteSecretNotFound)]


@pytest.mark.parametrize("document", [None, [], "x", {}, {"kind": "Status", "code": 404}, {"errors": "x"}])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 418])
def test_answer_that_is_not_vaults_proves_nothing(status, document):
    """Load balancers say 404, too, and by that no Secret may be deleted, and by 403 no lease be given up."""
    theirs = hvac.exceptions.VaultError.from_status(status, json=document, text=SAID)

    error = translated(theirs, ASKED, Call("GET", "team/data/db", status=status))

    assert not isinstance(error, RemoteSecretNotFound | AccessDenied)
    assert isinstance(error, Unavailable) or status == 418
    check_text(error)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", (RetryKind.AFTER, 7)),
        ("0.5", (RetryKind.AFTER, 0.5)),
        ("999999", (RetryKind.AFTER, 3600)),
        ("soon", (RetryKind.BACKOFF, 0)),
        ("", (RetryKind.BACKOFF, 0)),
    ],
)
def test_pause_is_the_one_that_vault_asks_for(header, expected):
    error = refused(429, "rate limit quota exceeded", headers={"retry-after": header})

    assert expected == (error.retry.kind, error.retry.seconds)


def test_denial_names_the_policy_that_would_allow_it():
    error = refused(403, "permission denied")

    assert error.hint.endswith('path "team/data/db" { capabilities = ["read"] } in namespace "org"')


def wrapped(inner):
    """As requests wraps what happened below."""
    reason = urllib3.exceptions.MaxRetryError(None, "https://vault.example.com", inner)
    return requests.exceptions.ConnectionError(reason)


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (
            wrapped(urllib3.exceptions.NameResolutionError("h", None, socket.gaierror())),
            Unavailable,
            "resolved",
        ),
        (wrapped(urllib3.exceptions.NewConnectionError(None, SAID)), Unavailable, "cannot be reached"),
        (requests.exceptions.SSLError(ssl.SSLCertVerificationError(1, SAID)), Unavailable, "not trusted"),
        (requests.exceptions.ProxyError(SAID), Unavailable, "proxy"),
        (requests.exceptions.ConnectTimeout(SAID), TimedOut, "in time"),
        (TimeoutError(SAID), TimedOut, "in time"),
        (ConnectionResetError(SAID), Unavailable, "ended the connection"),
        (UnicodeEncodeError("idna", "x", 0, 1, SAID), ProviderError, "cannot be made"),
        (TooMuch(), Malformed, "more than 8 MiB"),
    ],
)
def test_failures_of_the_way_are_told_by_their_kind(error, expected, words):
    ours = translated(error, ASKED, Call("GET", "x"))

    assert isinstance(ours, expected)
    assert words in str(ours)
    check_text(ours)


def test_what_ends_from_outside_is_late_whatever_it_looks_like():
    call = Call("GET", "x", ended=True)

    assert TimedOut is type(translated(requests.exceptions.SSLError(SAID), ASKED, call))


def test_our_own_error_comes_back_without_what_it_has_seen():
    """Its traceback holds the request, and with it a token."""
    try:
        raise ForbiddenError("not there", hint="elsewhere")
    except ForbiddenError as error:
        ours = translated(error, ASKED, Call("GET", "x"))

    assert ("not there", "elsewhere", None) == (ours.message, ours.hint, ours.__traceback__)


def test_bug_stays_a_bug():
    with pytest.raises(ZeroDivisionError):
        translated(ZeroDivisionError(), ASKED, Call("GET", "x"))


@pytest.mark.parametrize("make", [unreadable, lambda asked: redirected(asked, 307)])
def test_answers_that_are_none_are_told(make):
    error = make(ASKED)

    assert isinstance(error, KeyferryError)
    check_text(error)
