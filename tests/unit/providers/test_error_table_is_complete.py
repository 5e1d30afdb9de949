"""The table of AWS's errors holds everything that the SDK can raise and that the three services can answer.

The lists are the SDK's own, so that a release of it with something new fails here until somebody has
decided what that means to the reader of a manifest.
"""

from __future__ import annotations

import inspect

import botocore.exceptions
import botocore.parsers
import botocore.session
import pytest
from botocore.retries.standard import ThrottledRetryableChecker

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
from keyferry.providers.aws.asked import Asked
from keyferry.providers.aws.codes import CODES, SDK_ERRORS, Meaning
from keyferry.providers.aws.codes_elsewhere import ELSEWHERE
from keyferry.providers.aws.errors import from_code, from_response, translated
from keyferry.testing.leaks import LeakDetector, canary

READ = Asked("secretsmanager:GetSecretValue", "eu-central-1", "team/db", "AWSCURRENT")
PARAMETER = Asked("ssm:GetParameter", "eu-central-1", "/team/db", "3")
PATH = Asked("ssm:GetParametersByPath", "eu-central-1", path="/team/")
LOGIN = Asked("sts:AssumeRole", "eu-central-1")
TYPES = {
    Meaning.THROTTLED: RateLimited,
    Meaning.EXPIRED: CredentialsExpired,
    Meaning.REFUSED: AuthFailed,
    Meaning.CLOCK: AuthFailed,
    Meaning.DENIED: AccessDenied,
    Meaning.KMS: AccessDenied,
    Meaning.NOT_FOUND: RemoteSecretNotFound,
    Meaning.NO_VERSION: RemoteSecretNotFound,
    Meaning.REQUEST: ProviderError,
    Meaning.INVALID: ProviderError,
    Meaning.TAGS: ProviderError,
    Meaning.TOKEN: AuthFailed,
    Meaning.ISSUER: Unavailable,
    Meaning.REGION: ProviderError,
    Meaning.SERVER_SIDE: Unavailable,
    Meaning.WRITE: ProviderError,
    Meaning.ELSEWHERE: ProviderError,
    Meaning.TIMED_OUT: TimedOut,
    Meaning.UNREACHABLE: Unavailable,
    Meaning.TLS: Unavailable,
    Meaning.PROXY: Unavailable,
    Meaning.UNREADABLE: Malformed,
    Meaning.NO_CREDENTIALS: AuthFailed,
    Meaning.SETTINGS: ProviderError,
    Meaning.CALL: ProviderError,
    Meaning.UNKNOWN: Unavailable,
}
ASKED = [
    pytest.param(READ, id="read"),
    pytest.param(PARAMETER, id="parameter"),
    pytest.param(PATH, id="path"),
    pytest.param(LOGIN, id="login"),
]
COMMON = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InternalFailure",
    "InvalidAction",
    "InvalidClientTokenId",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "InvalidQueryParameter",
    "MalformedHttpRequestException",
    "MalformedQueryString",
    "MissingAction",
    "MissingAuthenticationToken",
    "MissingParameter",
    "NotAuthorized",
    "OptInRequired",
    "RequestAbortedException",
    "RequestEntityTooLargeException",
    "RequestExpired",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ThrottlingException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationError",
}
"""The codes that AWS lists as common to all services."""


def _sdk_classes():
    modules = (botocore.exceptions, botocore.parsers)
    found = {
        cls.__name__: cls
        for module in modules
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and issubclass(cls, Exception)
        and not issubclass(cls, Warning)
        and cls.__module__.startswith("botocore.")
    }
    # Answers of AWS are told by their code; the other two are the SDK's word about its own models.
    return {
        name: cls
        for name, cls in found.items()
        if name not in ("ClientError", "UndefinedModelAttributeError", "MissingServiceIdError")
    }


def _codes(service):
    model = botocore.session.get_session().get_service_model(service)
    for name in model.shape_names:
        shape = model.shape_for(name)
        if shape.metadata.get("exception"):
            yield name
            yield shape.metadata.get("error", {}).get("code") or name


def test_every_exception_of_the_sdk_is_decided_about():
    assert set(_sdk_classes()) == set(SDK_ERRORS)


@pytest.mark.parametrize("service", ["secretsmanager", "ssm", "sts"])
def test_every_error_of_the_service_models_is_decided_about(service):
    assert set() == set(_codes(service)) - set(CODES)


def test_what_is_taken_for_another_operations_failure_is_none_of_ours():
    model = botocore.session.get_session().get_service_model("ssm")
    asked = (
        "GetParameter",
        "GetParameters",
        "GetParametersByPath",
        "DescribeParameters",
        "ListTagsForResource",
    )
    ours = {error.name for name in asked for error in model.operation_model(name).error_shapes}

    assert set() == ours & set(ELSEWHERE)
    assert set() == set(ELSEWHERE) - set(_codes("ssm"))


def test_errors_common_to_all_services_are_decided_about():
    assert set() == COMMON - set(CODES)


def test_everything_that_the_sdk_takes_for_throttling_is_throttling_to_us():
    theirs = set(ThrottledRetryableChecker._THROTTLED_ERROR_CODES)

    assert set() == {code for code in theirs if CODES.get(code) is not Meaning.THROTTLED}


def test_no_code_has_two_meanings():
    from keyferry.providers.aws import codes

    listed = [
        code for table in (codes._BY_MEANING, codes._SDK_BY_MEANING) for t in table.values() for code in t
    ]

    assert len(listed) == len(CODES) + len(SDK_ERRORS)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_becomes_an_error_with_advice_and_without_its_message(code, asked):
    said = f"{canary('aws-message')} 12345678-1234-1234-1234-123456789012"

    first, second = (from_code(code, said + tail, asked) for tail in ("", " again"))

    assert isinstance(first, TYPES[CODES[code]])
    assert first.hint
    assert one_line(str(first)) == str(first) == str(second)
    assert "12345678" not in str(first)
    assert [] == LeakDetector().look_at_error("error", first)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("name", sorted(SDK_ERRORS))
def test_every_exception_of_the_sdk_becomes_an_error_with_advice(name, asked):
    cls = _sdk_classes()[name]
    error = cls.__new__(cls)
    error.args = (canary("sdk-text"),)

    ours = translated(error, asked)

    assert isinstance(ours, TYPES[SDK_ERRORS[name]])
    assert ours.hint
    assert one_line(str(ours)) == str(ours)
    assert [] == LeakDetector().look_at_error("error", ours)


def test_exception_of_a_later_sdk_means_what_its_ancestor_means():
    later = type("LaterError", (botocore.exceptions.ConnectTimeoutError,), {"__module__": "botocore.later"})
    unheard = type("UnheardOfError", (botocore.exceptions.BotoCoreError,), {"__module__": "botocore.later"})
    alone = type("AloneError", (Exception,), {"__module__": "botocore.later"})

    assert [TimedOut, Unavailable, Unavailable] == [
        type(translated(cls.__new__(cls), READ)) for cls in (later, unheard, alone)
    ]


@pytest.mark.parametrize("code", ["SomethingNew", "", "evil\ncode <b>", "x" * 500])
def test_code_that_nobody_knows_means_unavailable(code):
    error = from_code(code, "text", READ)

    assert Unavailable is type(error)
    assert "report" in error.hint
    assert len(error.message) < 200


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param(PARAMETER, "Grant ssm:GetParameter on the parameter in", id="parameter"),
        pytest.param(PATH, 'Grant ssm:GetParametersByPath on path "/team/" in', id="path"),
        pytest.param(
            Asked("ssm:DescribeParameters", "eu-central-1"),
            'Grant ssm:DescribeParameters on resource "*" in',
            id="list",
        ),
        pytest.param(
            READ,
            "Grant secretsmanager:GetSecretValue on the secret in the identity's policy or the secret's",
            id="read",
        ),
    ],
)
def test_denial_says_which_action_to_grant_on_what(asked, words):
    error = from_code("AccessDeniedException", "no", asked)

    assert words in error.hint


@pytest.mark.parametrize(
    "message",
    [
        "User: arn:aws:iam::123456789012:user/a is not authorized to perform: kms:Decrypt on resource: x",
        "The ciphertext refers to a customer master key that does not exist, or you are not allowed to access.",
        "Access to KMS is not allowed",
    ],
)
def test_denied_key_is_told_apart_from_a_denied_parameter(message):
    error = from_code("AccessDeniedException", message, PARAMETER)

    assert "decrypt remote secret" in error.message
    assert "kms:Decrypt" in error.hint


def test_versions_are_called_by_each_service_in_its_own_words():
    hints = [from_code("ValidationException", "x", asked).hint for asked in (READ, PARAMETER)]

    assert ["(a stage, or uuid/ and a version id)", "(a number or a label)"] == [
        hint[hint.index("(") :] for hint in hints
    ]


def test_code_in_its_long_form_is_understood():
    response = {
        "Error": {
            "Code": "com.amazonaws.secretsmanager#ResourceNotFoundException:http://internal/",
            "Message": "",
        }
    }

    assert RemoteSecretNotFound is type(from_response(response, READ))


def test_what_is_not_the_sdks_is_a_bug_and_stays_one():
    with pytest.raises(ZeroDivisionError):
        translated(ZeroDivisionError("bug"), READ)


def test_what_is_ours_stays_as_it_is():
    ours = AuthFailed("no keys")

    assert ours is translated(ours, READ)
