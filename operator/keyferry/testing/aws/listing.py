"""ListSecrets as AWS takes it: what it refuses, what its filters let pass, and its pages.

The filters' rules and limits are those of the API reference (ListSecrets, Filter); how a filter matches is
moto's. Synchronous; lives in the thread that owns moto.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from keyferry.testing.aws.moto_store import MotoStore
from keyferry.testing.aws.wire import AwsError, Call

PAGE_LIMIT: Final = 100
FILTER_LIMIT: Final = 10
FILTER_KEYS: Final = (
    "description",
    "name",
    "tag-key",
    "tag-value",
    "primary-region",
    "owning-service",
    "all",
)
_VALUE: Final = r"^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$"
_VALUE_LIMIT: Final = 512
_NOT_DONE: Final = frozenset({"SortBy", "SortOrder"})


def list_secrets(store: MotoStore, account: str, call: Call, *, limit: int = PAGE_LIMIT) -> dict[str, Any]:
    """One page of an account's secrets in the call's region, in the order of their creation.

    Args:
        store: moto's state.
        account: whose.
        call: with the parameters of ListSecrets.
        limit: most that a page may be asked to hold, and holds where it is not said.

    Raises:
        AwsError: as AWS refuses it.
    """
    params = call.params
    if said := sorted(_NOT_DONE & params.keys()):
        raise AwsError("NotImplementedByDouble", f"ListSecrets with {', '.join(said)}", status=501)
    size = params.get("MaxResults", limit)
    if not 1 <= size <= limit:
        bound = "greater than or equal to 1" if size < 1 else f"less than or equal to {limit}"
        raise _invalid(str(size), "maxResults", f"Member must have value {bound}")
    filters = params.get("Filters") or []
    _check(filters)
    planned = bool(params.get("IncludePlannedDeletion"))
    digest = hashlib.sha256(json.dumps([account, call.region, filters, planned]).encode()).hexdigest()
    found = store.list_secrets(account, call.region, filters, include_planned_deletion=planned)
    begin = _place(str(params["NextToken"]), digest, found) if "NextToken" in params else 0
    end = begin + size
    result: dict[str, Any] = {"SecretList": found[begin:end]}
    if len(found) > end:
        place = json.dumps([digest, end, found[end - 1]["ARN"]])
        result["NextToken"] = base64.urlsafe_b64encode(place.encode()).decode()
    return result


def _check(filters: list[Mapping[str, Any]]) -> None:
    if len(filters) > FILTER_LIMIT:
        text = f"Member must have length less than or equal to {FILTER_LIMIT}"
        raise _invalid(str(filters), "filters", text)
    for number, one in enumerate(filters, start=1):
        at = f"filters.{number}.member"
        key, values = one.get("Key"), one.get("Values")
        if key not in FILTER_KEYS:
            known = ", ".join(FILTER_KEYS)
            raise _invalid(str(key), f"{at}.key", f"Member must satisfy enum value set: [{known}]")
        if not values or len(values) > FILTER_LIMIT:
            bound = "greater than or equal to 1" if not values else f"less than or equal to {FILTER_LIMIT}"
            raise _invalid(str(values), f"{at}.values", f"Member must have length {bound}")
        for value in values:
            if len(value) > _VALUE_LIMIT or not re.fullmatch(_VALUE, value):
                raise _invalid(
                    value,
                    f"{at}.values",
                    f"Member must satisfy constraint: [Member must have length less than or equal to {_VALUE_LIMIT}, "
                    f"Member must satisfy regular expression pattern: {_VALUE}]",
                )


def _invalid(value: str, where: str, constraint: str) -> AwsError:
    text = f"1 validation error detected: Value '{value}' at '{where}' failed to satisfy constraint: {constraint}"
    return AwsError("ValidationException", text)


def _place(token: str, digest: str, found: list[dict[str, Any]]) -> int:
    """Where a page begins: behind the last secret of the one before, so that a deletion lets none be missed."""
    try:
        said, number, last = json.loads(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        said = None
    if said != digest:
        raise AwsError("InvalidNextTokenException", "The NextToken value is invalid.")
    places = (at + 1 for at, one in enumerate(found) if one["ARN"] == last)
    return next(places, int(number) - 1)
