"""What an AWS client sends and gets: calls read from HTTP, answers and errors written as HTTP.

Two protocols matter here: AWS JSON 1.1 (Secrets Manager, KMS, SSM, SQS), where a header names the
operation, and the query protocol (STS, IAM), where the form does. The same failure has another code,
status and shape in each; `AwsError` holds the JSON one and knows the other. Texts are those that AWS
publishes or that its users quote. No state lives here; `front` and everything behind it use it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

Protocol = Literal["json", "query"]

_TARGETS: Final = {
    "secretsmanager": "secretsmanager",
    "TrentService": "kms",
    "AmazonSSM": "ssm",
    "AmazonSQS": "sqs",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "SpencerFrontendService": "ecr-public",
}
_QUERY_VERSIONS: Final = {"2011-06-15": "sts", "2010-05-08": "iam", "2012-11-05": "sqs"}
_XML_NAMESPACES: Final = {
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sqs": "https://queue.amazonaws.com/doc/2012-11-05/",
}
_QUERY_CODES: Final = {
    "AccessDeniedException": ("AccessDenied", 403),
    "ExpiredTokenException": ("ExpiredToken", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 400),
    "InternalServiceError": ("InternalFailure", 500),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "ThrottlingException": ("Throttling", 400),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "ValidationException": ("ValidationError", 400),
}

MARKED_FOR_DELETION: Final = (
    "You can't perform this operation on the secret because it was marked for deletion."
)

PUBLISHED: Final[Mapping[str, tuple[int, str]]] = {
    "AccessDeniedException": (400, "Access to KMS is not allowed"),
    "DecryptionFailure": (
        400,
        "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
    ),
    "ExpiredTokenException": (400, "The security token included in the request is expired"),
    "IDPCommunicationError": (
        400,
        (
            "The request could not be fulfilled because the identity provider (IDP) that was asked to verify "
            "the incoming identity token could not be reached."
        ),
    ),
    "InternalServerError": (500, "An error occurred on the server side."),
    "InternalServiceError": (500, "An error occurred on the server side."),
    "InvalidRequestException": (400, MARKED_FOR_DELETION),
    "InvalidSignatureException": (
        400,
        (
            "The request signature we calculated does not match the signature you provided. Check your AWS "
            "Secret Access Key and signing method. Consult the service documentation for details."
        ),
    ),
    "MissingAuthenticationTokenException": (400, "Missing Authentication Token"),
    "ResourceNotFoundException": (400, "Secrets Manager can't find the specified secret."),
    "ThrottlingException": (400, "Rate exceeded"),
    "UnrecognizedClientException": (400, "The security token included in the request is invalid."),
}
"""Status and text of failures by their JSON code, for those whose text is always the same."""


class AwsError(Exception):
    """A failure as AWS tells it.

    Args:
        code: the code in the JSON protocol; the query protocol's code is derived.
        message: the text; the published one where empty.
        status: the HTTP status; the published one (else 400) where 0.
        verbatim: the code is the same in both protocols, as for web identity failures.
        headers: headers to add to the answer.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int = 0,
        verbatim: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        known_status, known_message = PUBLISHED.get(code, (400, ""))
        self.code = code
        self.message = message or known_message
        self.status = status or known_status
        self._own_status = status
        self.verbatim = verbatim
        self.headers = dict(headers or {})
        super().__init__(f"{code}: {self.message}")

    def answer(self, protocol: Protocol, service: str) -> Answer:
        """The failure as an HTTP answer of that protocol."""
        request_id = str(uuid.uuid4())
        headers = {"x-amzn-RequestId": request_id, **self.headers}
        if protocol == "json":
            # The front door of AWS writes a capital M where it refuses, the services a small one.
            key = "Message" if self.code == "AccessDeniedException" else "message"
            headers["Content-Type"] = "application/x-amz-json-1.1"
            headers["x-amzn-ErrorType"] = self.code
            return Answer(self.status, headers, json.dumps({"__type": self.code, key: self.message}).encode())
        code, status = self.code, self.status
        if not self.verbatim:
            code, status = _QUERY_CODES.get(self.code, (self.code, self.status))
            status = self._own_status or status
        headers["Content-Type"] = "text/xml"
        return Answer(status, headers, _error_xml(service, code, self.message, request_id, status))


def _error_xml(service: str, code: str, message: str, request_id: str, status: int) -> bytes:
    namespace = _XML_NAMESPACES.get(service, _XML_NAMESPACES["sts"])
    fault = "Receiver" if status >= 500 else "Sender"
    return (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{fault}</Type><Code>{escape(code)}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def json_answer(content: Mapping[str, Any]) -> Answer:
    """A success in the JSON protocol."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": str(uuid.uuid4())}
    return Answer(200, headers, json.dumps(content).encode())


def sts_answer(action: str, result: Mapping[str, Any]) -> Answer:
    """A success of STS: nested mappings become nested elements."""
    request_id = str(uuid.uuid4())
    body = (
        f'<{action}Response xmlns="{_XML_NAMESPACES["sts"]}"><{action}Result>{_elements(result)}'
        f"</{action}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        f"</{action}Response>"
    )
    return Answer(200, {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}, body.encode())


def _elements(content: Mapping[str, Any]) -> str:
    return "".join(
        f"<{name}>{_elements(value) if isinstance(value, Mapping) else escape(str(value))}</{name}>"
        for name, value in content.items()
    )


_CREDENTIAL: Final = re.compile(
    r"^AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,]+)/(?P<service>[^/,]+)"
    r"/aws4_request,\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})$"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """The parsed `Authorization` header of Signature Version 4."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came over the wire. Header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Call:
    """One AWS operation that a client asks for."""

    service: str
    action: str
    protocol: Protocol
    params: Mapping[str, Any]
    request: HttpRequest = field(repr=False)
    signature: Signature | None = None

    @property
    def region(self) -> str:
        """The region that the request is signed for."""
        return self.signature.region if self.signature else "us-east-1"

    @property
    def partition(self) -> str:
        """The partition that the region belongs to."""
        return partition_of(self.region)

    @cached_property
    def secret_ids(self) -> tuple[str, ...]:
        """The secrets or parameters that the call names, as it names them."""
        if self.service == "ssm":
            one = self.params.get("Name") or self.params.get("ResourceId") or self.params.get("Path")
            return tuple(str(name) for name in self.params.get("Names") or [one] if name)
        if self.service != "secretsmanager":
            return ()
        named = self.params.get("SecretIdList") or [self.params.get("SecretId") or self.params.get("Name")]
        return tuple(str(one) for one in named if one)

    def text(self, name: str) -> str:
        """A parameter as text, empty where it is missing."""
        return str(self.params.get(name) or "")

    def members(self, name: str) -> list[dict[str, str]]:
        """A list of structures of the query protocol: `Tags.member.1.Key=…` becomes `[{"Key": …}]`."""
        found: dict[int, dict[str, str]] = {}
        for key, value in self.params.items():
            if matched := re.fullmatch(rf"{name}\.member\.(\d+)\.(\w+)", key):
                found.setdefault(int(matched[1]), {})[matched[2]] = value
        return [found[index] for index in sorted(found)]

    def texts(self, name: str) -> list[str]:
        """A list of texts of the query protocol: `TransitiveTagKeys.member.1=…`."""
        found = {
            int(matched[1]): value
            for key, value in self.params.items()
            if (matched := re.fullmatch(rf"{name}\.member\.(\d+)", key))
        }
        return [found[index] for index in sorted(found)]


def partition_of(region: str) -> str:
    """The partition of a region."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def read_call(request: HttpRequest) -> Call:
    """The operation that a request asks for.

    Raises:
        AwsError: it is no request to a service that is served here.
    """
    signature = _read_signature(request.headers.get("authorization", ""))
    target = request.headers.get("x-amz-target", "")
    if target:
        prefix, _, action = target.partition(".")
        service = _TARGETS.get(prefix, "")
        if not service or not action:
            raise AwsError("UnknownOperationException")
        return Call(service, action, "json", _read_json(request.body), request, signature)
    params = dict(parse_qsl(request.query, keep_blank_values=True))
    if "x-www-form-urlencoded" in request.headers.get("content-type", ""):
        params.update(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    service = _QUERY_VERSIONS.get(params.get("Version", ""), "")
    if not service or not params.get("Action"):
        raise AwsError("UnknownOperationException", status=404)
    return Call(service, params["Action"], "query", params, request, signature)


def _read_signature(header: str) -> Signature | None:
    if not header:
        return None
    if not (matched := _CREDENTIAL.match(header)):
        raise AwsError(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential' parameter, 'SignedHeaders' parameter and "
            "'Signature' parameter of Signature Version 4.",
        )
    return Signature(
        access_key_id=matched["key"],
        date=matched["date"],
        region=matched["region"],
        service=matched["service"],
        signed_headers=tuple(matched["headers"].split(";")),
        value=matched["signature"],
    )


def _read_json(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body or b"{}")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise AwsError("SerializationException", "The request body is not a JSON object.")
    return content
