"""Parameter Store: values, batches, paths and lists as AWS gives them, everything else by moto after a check.

Each parameter is judged by its ARN, for the action that is asked for: GetParameters needs ssm:GetParameters
on all of them or is denied as a whole, a path needs ssm:GetParametersByPath on the path and nothing on what
lies below. SecureStrings ask their KMS key, but for the account's own. Parameters are shared with other
accounts by a policy of their own (PutResourcePolicy).

Source: AWS Systems Manager API Reference and User Guide ("How Parameter Store authorizes parameter retrieval").
Synchronous; lives in the thread that owns moto.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from keyferry.testing.aws import moto_parameters
from keyferry.testing.aws.faults import Faults
from keyferry.testing.aws.gate import Caller, Gate
from keyferry.testing.aws.moto_parameters import AWS_OWN_KEY, ParameterRecord, ParameterVersion, arn_of
from keyferry.testing.aws.moto_store import MotoStore
from keyferry.testing.aws.policy import context_of
from keyferry.testing.aws.secrets import SecretsManager
from keyferry.testing.aws.wire import Answer, AwsError, Call, json_answer

BATCH_LIMIT: Final = 10
PATH_PAGE: Final = 10
LIST_PAGE: Final = 50
STANDARD_BYTES: Final = 4096
ADVANCED_BYTES: Final = 8192
_SECRETS: Final = "/aws/reference/secretsmanager/"
_ONE: Final = r"[A-Za-z0-9_.-]+"
_NAME: Final = re.compile(rf"{_ONE}|(?:/{_ONE})+|{_SECRETS}[A-Za-z0-9/_+=.@!-]+")
_PATH: Final = re.compile(rf"/|(?:/{_ONE})+/?")
_BAD_NAME: Final = (
    'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
    "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following "
    "3 symbols .-_"
)
_BAD_PATH: Final = (
    "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "
    '"/". It can\'t be prefixed with \\"aws\\" or \\"ssm\\" (case-insensitive). It must use only letters, numbers, or '
    "the following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All "
    'sub-paths, if specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.'
)
_OF_NAMES: Final = frozenset(
    {
        "AddTagsToResource",
        "DeleteParameter",
        "GetParameterHistory",
        "LabelParameterVersion",
        "PutParameter",
        "RemoveTagsFromResource",
        "UnlabelParameterVersion",
    }
)
"""Operations on one parameter, which moto answers."""


class ParameterStore:
    """Parameter Store over moto's parameters.

    Args:
        store: moto's state.
        gate: judges permissions.
        faults: failures of single parameters.
        secrets: answers for parameters that stand for secrets.
    """

    def __init__(self, store: MotoStore, gate: Gate, faults: Faults, secrets: SecretsManager) -> None:
        self._store = store
        self._gate = gate
        self._faults = faults
        self._secrets = secrets
        self._shared: dict[str, str] = {}
        """Policies of parameters, by their ARNs."""

    def answer(self, caller: Caller, call: Call, now: datetime) -> Answer:
        """The answer to an operation.

        Raises:
            AwsError: as AWS tells it.
        """
        match call.action:
            case "GetParameter":
                return json_answer({"Parameter": self._one(caller, call, str(call.params["Name"]))})
            case "GetParameters":
                return json_answer(self._batch(caller, call))
            case "GetParametersByPath":
                return json_answer(self._below(caller, call))
            case "DescribeParameters":
                return json_answer(self._list(caller, call))
            case "ListTagsForResource" if call.text("ResourceType") == "Parameter":
                return json_answer(self._tags(caller, call))
            case "PutResourcePolicy":
                return json_answer(self._share(caller, call))
        name = call.text("Name") or call.text("ResourceId")
        if call.action not in _OF_NAMES or not name:
            # Of the rest of Systems Manager nothing is known: only policies for all of it can allow.
            self._gate.authorize(caller, f"ssm:{call.action}", "*", caller.context(call))
            return self._store.ask(call, caller.account, now)
        if call.action == "PutParameter":
            _check_new(call, caller.account)
        self._admit(caller, call, call.action, arn_of(caller.account, call.region, name))
        return self._store.ask(call, caller.account, now)

    # Reading

    def _one(self, caller: Caller, call: Call, asked: str) -> dict[str, Any]:
        arn, name, selector = _taken_apart(asked, caller, call)
        if not _NAME.fullmatch(name):
            raise AwsError("ValidationException", _BAD_NAME)
        record = self._admit(caller, call, "GetParameter", arn)
        self._strike(call, caller, asked, arn, record)
        if record is None:
            raise AwsError("ParameterNotFound")
        version = _selected(record, selector)
        if version is None:
            raise AwsError(
                "ParameterVersionNotFound",
                f"Systems Manager could not find version {selector} of {record.name}. Verify the version and try again.",
            )
        return self._entry(caller, call, record, version, selector)

    def _batch(self, caller: Caller, call: Call) -> dict[str, Any]:
        names = list(dict.fromkeys(str(one).strip(" ") for one in call.params.get("Names") or []))
        if not 1 <= len(names) <= BATCH_LIMIT:
            raise _outside(names, "names", f"Member must have length less than or equal to {BATCH_LIMIT}")
        if any(" " in name for name in names):
            raise AwsError("ValidationException", _BAD_NAME)
        wanted = {asked: _taken_apart(asked, caller, call) for asked in names}
        known = {asked: one for asked, one in wanted.items() if _NAME.fullmatch(one[1])}
        records = {
            asked: self._admit(caller, call, "GetParameters", arn) for asked, (arn, _, _) in known.items()
        }
        result: dict[str, Any] = {"Parameters": [], "InvalidParameters": []}
        for asked in names:
            record = records.get(asked)
            selector = wanted[asked][2]
            self._strike(call, caller, asked, wanted[asked][0], record)
            version = _selected(record, selector) if record else None
            if record is None or version is None:
                result["InvalidParameters"].append(asked)
            else:
                result["Parameters"].append(self._entry(caller, call, record, version, selector))
        result["Parameters"].sort(key=lambda one: one["Name"])
        return result

    def _below(self, caller: Caller, call: Call) -> dict[str, Any]:
        path = call.text("Path")
        if not _PATH.fullmatch(path):
            raise AwsError("ValidationException", _BAD_PATH)
        if said := sorted({"ParameterFilters"} & call.params.keys()):
            raise AwsError("NotImplementedByDouble", f"GetParametersByPath with {said}", status=501)
        recursive = bool(call.params.get("Recursive"))
        size = _page_size(call, PATH_PAGE)
        folder = path.rstrip("/") + "/"
        # Whatever lies below, the path alone is judged, and as it is written.
        arn = arn_of(caller.account, call.region, "") + path.removeprefix("/")
        context = caller.context(call) | context_of(**{"ssm:Recursive": str(recursive).lower()})
        self._gate.authorize(caller, "ssm:GetParametersByPath", arn, context, said=arn)
        found = [
            one
            for one in moto_parameters.all_of(caller.account, call.region)
            if (rest := _rest(one.name, folder)) and (recursive or "/" not in rest)
        ]
        page, token = _page(call, [path, recursive], found, size)
        for one in page:
            self._strike(call, caller, one.name, one.arn, one)
        result: dict[str, Any] = {
            "Parameters": [self._entry(caller, call, one, one.latest, "") for one in page]
        }
        return result | ({"NextToken": token} if token else {})

    def _entry(
        self, caller: Caller, call: Call, record: ParameterRecord, version: ParameterVersion, selector: str
    ) -> dict[str, Any]:
        value = version.value
        if version.type == "SecureString":
            if call.params.get("WithDecryption"):
                self._decrypt(caller, call, record, version)
            else:
                value = f"AQICAH{hashlib.sha256(value.encode()).hexdigest()}"
        entry = {
            "Name": record.name,
            "Type": version.type,
            "Value": value,
            "Version": version.number,
            "LastModifiedDate": version.modified,
            "ARN": record.arn,
            "DataType": "text",
        }
        return entry | ({"Selector": f":{selector}"} if selector else {})

    def _decrypt(
        self, caller: Caller, call: Call, record: ParameterRecord, version: ParameterVersion
    ) -> None:
        """Ask the key, unless it is Secrets Manager's or the account's own.

        Raises:
            AwsError: it is not there, switched off, or denied.
        """
        if record.name.startswith(_SECRETS):
            secret = record.name.removeprefix(_SECRETS)
            self._secrets.admit(caller, call, "GetSecretValue", secret, {})
            return
        if version.key_id == AWS_OWN_KEY:
            return
        account = record.arn.split(":")[4]
        key = moto_parameters.find_key(account, call.region, version.key_id)
        if key is None or key.state != "Enabled":
            state = "does not exist" if key is None else f"is {key.state}"
            raise AwsError("InvalidKeyId", f"{version.key_id} {state}.")
        context = caller.context(call) | context_of(
            **{
                "kms:ViaService": f"ssm.{call.region}.amazonaws.com",
                "kms:EncryptionContext:PARAMETER_ARN": record.arn,
                "kms:CallerAccount": caller.account,
            }
        )
        self._gate.authorize(caller, "kms:Decrypt", key.arn, context, policy=key.policy, said=key.arn)

    # Lists and tags

    def _list(self, caller: Caller, call: Call) -> dict[str, Any]:
        everything = f"arn:{call.partition}:ssm:{call.region}:{caller.account}:*"
        self._gate.authorize(
            caller, "ssm:DescribeParameters", everything, caller.context(call), said=everything
        )
        if said := sorted({"Filters", "Shared"} & call.params.keys()):
            raise AwsError("NotImplementedByDouble", f"DescribeParameters with {said}", status=501)
        size = _page_size(call, LIST_PAGE)
        filters = call.params.get("ParameterFilters") or []
        if any(not value for one in filters for value in one.get("Values") or []):
            raise _outside(filters, "parameterFilters", "Member must have length greater than or equal to 1")
        found = moto_parameters.described(caller.account, call.region, filters)
        page, token = _page(call, filters, found, size)
        entries = [
            {
                "Name": one.name,
                "ARN": one.arn,
                "Type": one.latest.type,
                "Version": one.latest.number,
                "LastModifiedDate": one.latest.modified,
                "Tier": "Standard",
                "Policies": [],
                "DataType": "text",
            }
            for one in page
        ]
        return {"Parameters": entries} | ({"NextToken": token} if token else {})

    def _tags(self, caller: Caller, call: Call) -> dict[str, Any]:
        name = call.text("ResourceId")
        arn = arn_of(caller.account, call.region, name)
        record = self._admit(caller, call, "ListTagsForResource", arn)
        self._strike(call, caller, name, arn, record)
        if record is None:
            raise AwsError("InvalidResourceId")
        return {"TagList": [{"Key": key, "Value": value} for key, value in record.tags.items()]}

    def _share(self, caller: Caller, call: Call) -> dict[str, Any]:
        arn = call.text("ResourceArn")
        if self._admit(caller, call, "PutResourcePolicy", arn) is None:
            raise AwsError(
                "ResourceNotFoundException", "The specified parameter to be shared could not be found."
            )
        self._shared[arn] = call.text("Policy")
        digest = hashlib.sha256(call.text("Policy").encode()).hexdigest()
        return {"PolicyId": digest[:36], "PolicyHash": digest}

    # Permissions and faults

    def _admit(self, caller: Caller, call: Call, action: str, arn: str) -> ParameterRecord | None:
        """The parameter, for one who may do this to it.

        Raises:
            AwsError: they may not.
        """
        _, _, _, region, account, resource = arn.split(":", 5)
        name = "/" + resource.removeprefix("parameter/")
        record = moto_parameters.find(account, region, name) if region == call.region else None
        tags = record.tags if record else {}
        context = caller.context(call) | context_of(
            **{f"ssm:resourceTag/{key}": value for key, value in tags.items()},
            **{f"aws:ResourceTag/{key}": value for key, value in tags.items()},
        )
        policy = self._shared.get(arn, "")
        self._gate.authorize(caller, f"ssm:{action}", arn, context, policy=policy, said=arn)
        return record

    def _strike(
        self, call: Call, caller: Caller, asked: str, arn: str, record: ParameterRecord | None
    ) -> None:
        names = (asked, arn, *([record.name] if record else []))
        self._faults.strike_secret(call, caller.arn, names)


def _taken_apart(asked: str, caller: Caller, call: Call) -> tuple[str, str, str]:
    """ARN, name and selector of what is asked for."""
    asked = asked.strip(" ")
    if not asked.startswith("arn:"):
        name, _, selector = asked.partition(":")
        return arn_of(caller.account, call.region, name), name, selector
    parts = asked.split(":", 6)
    if len(parts) < 6 or not parts[5].startswith("parameter/") or not parts[4]:
        return asked, asked, ""
    return ":".join(parts[:6]), parts[5].removeprefix("parameter"), "".join(parts[6:])


def _selected(record: ParameterRecord, selector: str) -> ParameterVersion | None:
    if not selector:
        return record.latest
    fitting = (one for one in record.versions if selector == str(one.number) or selector in one.labels)
    return next(fitting, None)


def _rest(name: str, folder: str) -> str:
    """A name without the folder that it lies in; empty where it lies elsewhere."""
    whole = name if name.startswith("/") else f"/{name}"
    return whole.removeprefix(folder) if whole.startswith(folder) else ""


def _outside(value: Any, where: str, constraint: str) -> AwsError:
    text = f"1 validation error detected: Value '{value}' at '{where}' failed to satisfy constraint: {constraint}"
    return AwsError("ValidationException", text)


def _page_size(call: Call, limit: int) -> int:
    size = call.params.get("MaxResults", 10)
    if not 1 <= size <= limit:
        bound = "greater than or equal to 1" if size < 1 else f"less than or equal to {limit}"
        raise _outside(size, "maxResults", f"Member must have value {bound}")
    return int(size)


def _page(
    call: Call, question: Any, found: list[ParameterRecord], size: int
) -> tuple[Iterable[ParameterRecord], str]:
    """One page, and the token of the next; empty for the last. A deletion in between lets none be missed."""
    digest = hashlib.sha256(json.dumps([call.action, call.region, question]).encode()).hexdigest()
    if "NextToken" in call.params:
        try:
            said, last = json.loads(base64.urlsafe_b64decode(call.text("NextToken").encode()))
        except ValueError:
            said, last = "", ""
        if said != digest:
            raise AwsError("InvalidNextToken", "The specified token isn't valid.")
        found = [one for one in found if one.name > last]
    page = found[:size]
    if len(found) <= size:
        return page, ""
    return page, base64.urlsafe_b64encode(json.dumps([digest, page[-1].name]).encode()).decode()


def _check_new(call: Call, account: str) -> None:
    """What AWS refuses of a new value.

    Raises:
        AwsError: it does.
    """
    name, params = call.text("Name"), call.params
    if not _NAME.fullmatch(name) or re.match("/?(aws|ssm)", name, re.IGNORECASE):
        raise AwsError("ValidationException", _BAD_NAME)
    advanced = params.get("Tier") in ("Advanced", "Intelligent-Tiering")
    limit, tier = (ADVANCED_BYTES, "Advanced") if advanced else (STANDARD_BYTES, "Standard")
    if len(call.text("Value").encode()) > limit:
        raise AwsError(
            "ValidationException",
            f"{tier} tier parameters support a maximum parameter value of {limit} characters.",
        )
    key_id = call.text("KeyId")
    if key_id and key_id != AWS_OWN_KEY and moto_parameters.find_key(account, call.region, key_id) is None:
        raise AwsError("InvalidKeyId", f"{key_id} does not exist.")
