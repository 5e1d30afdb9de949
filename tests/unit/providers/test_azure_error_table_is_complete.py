"""The table of Azure's errors holds everything that the SDK's packages can raise, and what is told of each code.

The list of exceptions is the SDK's own, so that a release of it with something new fails here until somebody has
decided what that means to the reader of a manifest.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil

import azure.core
import azure.identity
import azure.keyvault.certificates
import azure.keyvault.keys
import azure.keyvault.secrets
import msal
import pytest

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    CredentialsExpired,
    Malformed,
    ProviderError,
    RateLimited,
    RemoteSecretNotFound,
    TimedOut,
    Unavailable,
    one_line,
)
from keyferry.providers.azure import codes
from keyferry.providers.azure.codes import ENTRA_CODES, ENTRA_ERRORS, SDK_ERRORS, VAULT_CODES, Meaning
from keyferry.providers.azure.errors import Asked, from_reply, translated
from keyferry.providers.azure.identity import (
    ClientCertificate,
    ClientSecret,
    FederatedAccount,
    ManagedIdentity,
    OwnAccount,
)
from keyferry.providers.azure.login_errors import TokenAsked, login_refused, token_failed
from keyferry.providers.outgoing import Reply
from keyferry.secretdata import SecretBytes
from keyferry.testing.leaks import LeakDetector, canary

PACKAGES = (
    azure.core,
    azure.identity,
    azure.keyvault.secrets,
    azure.keyvault.keys,
    azure.keyvault.certificates,
    msal,
)
ACCOUNT = FederatedAccount("tenant", "client", "team-a", "app", "uid", ("api://AzureADTokenExchange",))
SOURCES = [
    ClientSecret("tenant", "client", SecretBytes("x")),
    ClientCertificate("tenant", "client", SecretBytes("x")),
    ACCOUNT,
    OwnAccount("tenant", "client", "/token"),
    ManagedIdentity("client"),
]
READ = Asked("secrets/get", "kv.vault.azure.net", ACCOUNT, "db", "1")
LIST = Asked("secrets/list", "kv.vault.azure.net", ACCOUNT)
TYPES = {
    Meaning.THROTTLED: RateLimited,
    Meaning.TOKEN: CredentialsExpired,
    Meaning.DENIED: AccessDenied,
    Meaning.FIREWALL: AccessDenied,
    Meaning.DISABLED: ProviderError,
    Meaning.NOT_FOUND: RemoteSecretNotFound,
    Meaning.NO_VAULT: Unavailable,
    Meaning.INVALID: ProviderError,
    Meaning.WRITE: ProviderError,
    Meaning.SERVER_SIDE: Unavailable,
    Meaning.TIMED_OUT: TimedOut,
    Meaning.UNREACHABLE: Unavailable,
    Meaning.UNREADABLE: Malformed,
    Meaning.CALL: ProviderError,
    Meaning.NO_IDENTITY: AuthFailed,
    Meaning.UNKNOWN: Unavailable,
}
LOGIN_TYPES = {Meaning.THROTTLED: RateLimited, Meaning.SERVER_SIDE: Unavailable}
"""What is no AuthFailed."""


def no_pause(reply):
    return None


def _modules():
    for package in PACKAGES:
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # Parts for libraries that are not there, and one that asks whoever starts it.
            if found.name.rpartition(".")[2] in ("__main__", "broker", "_requests_trio", "opentelemetry"):
                continue
            yield importlib.import_module(found.name)


def _sdk_classes():
    return {
        cls.__name__: cls
        for module in _modules()
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and issubclass(cls, Exception)
        and not issubclass(cls, Warning)
        and cls.__module__.partition(".")[0] in ("azure", "msal")
    }


CLASSES = _sdk_classes()


def reply(status, code="", inner="", **headers):
    error = {"code": code, "message": f"{canary('azure-message')} 12345678"}
    if inner:
        error["innererror"] = {"code": inner}
    return Reply(status, headers, json.dumps({"error": error}).encode())


def check_text(error):
    assert error.hint
    assert one_line(str(error)) == str(error)
    assert "12345678" not in str(error)
    assert [] == LeakDetector().look_at_error("error", error)


def test_every_exception_of_the_sdk_is_decided_about():
    assert set(CLASSES) == set(SDK_ERRORS)


def test_no_code_has_two_meanings():
    tables = (codes._VAULT_BY_MEANING, codes._ENTRA_BY_MEANING, codes._SDK_BY_MEANING)
    listed = [code for table in tables for some in table.values() for code in some]

    assert len(listed) == len(VAULT_CODES) + len(ENTRA_CODES) + len(SDK_ERRORS)


@pytest.mark.parametrize("asked", [READ, LIST], ids=["read", "list"])
@pytest.mark.parametrize("name", sorted(SDK_ERRORS))
def test_every_exception_becomes_an_error_with_advice(name, asked):
    error = CLASSES[name].__new__(CLASSES[name])
    error.args = (canary("azure-sdk-text"),)

    ours = translated(error, asked, no_pause)

    assert TYPES[SDK_ERRORS[name]] is type(ours)
    check_text(ours)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
@pytest.mark.parametrize("name", sorted(SDK_ERRORS))
def test_every_exception_of_a_login_becomes_an_error_with_advice(name, source):
    error = CLASSES[name].__new__(CLASSES[name])
    error.args = (canary("azure-sdk-text"),)

    check_text(token_failed(error, TokenAsked(source, "login.example.com"), no_pause))


@pytest.mark.parametrize("asked", [READ, LIST], ids=["read", "list"])
@pytest.mark.parametrize("code", sorted(VAULT_CODES))
@pytest.mark.parametrize("inner", [False, True], ids=["outer", "inner"])
def test_every_code_of_a_vault_becomes_an_error_with_advice(code, asked, inner):
    answer = reply(400, "Forbidden", code) if inner else reply(400, code)

    ours = from_reply(answer, asked, no_pause)

    assert TYPES[VAULT_CODES[code]] is type(ours)
    check_text(ours)


def test_inner_code_is_understood_in_both_spellings():
    body = b'{"error": {"code": "Forbidden", "innerError": {"code": "SecretDisabled"}}}'

    assert "disabled" in from_reply(Reply(403, {}, body), READ, no_pause).message


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
@pytest.mark.parametrize("code", sorted(ENTRA_CODES))
def test_every_code_of_entra_id_becomes_an_error_with_advice(code, source):
    text = f"AADSTS{code}: {canary('azure-entra')} Trace ID: 12345678"
    body = json.dumps({"error": "invalid_client", "error_codes": [code], "error_description": text})

    ours = login_refused(Reply(401, {}, body.encode()), TokenAsked(source, "login.example.com"), no_pause)

    assert LOGIN_TYPES.get(ENTRA_CODES[code], AuthFailed) is type(ours)
    check_text(ours)


@pytest.mark.parametrize("error", [*sorted(ENTRA_ERRORS), "hello_there_i_am_text", "", "x" * 500])
def test_errors_of_oauth_without_a_code_are_told_by_their_names_alone(error):
    body = json.dumps({"error": error}).encode()

    ours = login_refused(Reply(400, {}, body), TokenAsked(ACCOUNT, "login.example.com"), no_pause)

    assert (error in ENTRA_ERRORS and ENTRA_ERRORS[error] is not Meaning.SERVER_SIDE) == (
        type(ours) is AuthFailed
    ) or (error not in ENTRA_ERRORS)
    assert error in ENTRA_ERRORS or not error or error not in str(ours)
    check_text(ours)


@pytest.mark.parametrize("number", [10_000_000, 10**400, -1, 0])
def test_number_that_is_none_of_entra_id_is_not_repeated(number):
    body = json.dumps({"error": "invalid_client", "error_codes": [number]}).encode()

    ours = login_refused(Reply(400, {}, body), TokenAsked(ACCOUNT, "login.example.com"), no_pause)

    assert "AADSTS" not in ours.message


def test_exception_of_a_later_sdk_means_what_its_ancestor_means():
    later = type(
        "LaterError", (azure.core.exceptions.ServiceRequestTimeoutError,), {"__module__": "azure.later"}
    )
    alone = type("AloneError", (Exception,), {"__module__": "azure.later"})

    assert [TimedOut, Unavailable] == [
        type(translated(cls.__new__(cls), READ, no_pause)) for cls in (later, alone)
    ]


def test_what_is_not_the_sdks_is_a_bug_and_stays_one():
    with pytest.raises(ZeroDivisionError):
        translated(ZeroDivisionError("bug"), READ, no_pause)
    with pytest.raises(ZeroDivisionError):
        token_failed(ZeroDivisionError("bug"), TokenAsked(ACCOUNT, "x"), no_pause)


def test_what_is_ours_stays_as_it_is_although_the_sdk_wraps_it():
    ours = AuthFailed("no keys")
    wrapped = azure.identity.CredentialUnavailableError("wrapped")
    wrapped.__cause__ = ours

    assert ["no keys", "no keys"] == [
        translated(ours, READ, no_pause).message,
        token_failed(wrapped, TokenAsked(ACCOUNT, "x"), no_pause).message,
    ]
