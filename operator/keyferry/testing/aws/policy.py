"""IAM policy documents, decided as AWS's published evaluation logic does.

Identity policies, role trust policies and resource policies, with wildcards, NotAction and NotResource, conditions and
policy variables. What this file does not know (an operator, an element) is an error and never an
allow: a strict double must not guess. Pure; `gate` and `sts` use it.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Context = Mapping[str, Sequence[str]]
"""Condition keys in lower case, each with the values that the request has for it."""


class Verdict(enum.Enum):
    """What a set of policies says to an action on a resource."""

    ALLOWED = "allowed"
    DENIED = "denied"
    """An explicit Deny matches; it wins over every Allow."""
    SILENT = "silent"
    """No statement matches, which refuses the action too."""


class UnknownPolicyElement(Exception):
    """The policy uses something that this evaluator does not know."""


def context_of(**values: Any) -> dict[str, list[str]]:
    """A context from plain values; empty ones are left out. Keys may be given by `**{"aws:…": …}`."""
    return {
        key.lower(): [value] if isinstance(value, str) else [str(one) for one in value]
        for key, value in values.items()
        if value
    }


def evaluate(documents: Iterable[str], action: str, resource: str, context: Context) -> Verdict:
    """What identity policies say to an action on a resource.

    Args:
        documents: the policies as JSON.
        action: as `secretsmanager:GetSecretValue`.
        resource: an ARN, or `*` for actions without a resource.
        context: the request's condition keys.

    Raises:
        UnknownPolicyElement: a statement in question uses something unknown.
    """
    verdict = Verdict.SILENT
    for statement in _statements(documents):
        if not _covers_action(statement, action) or not _covers_resource(statement, resource, context):
            continue
        if not _conditions_hold(statement, context):
            continue
        if statement["Effect"] == "Deny":
            return Verdict.DENIED
        verdict = Verdict.ALLOWED
    return verdict


@dataclass(frozen=True, slots=True)
class Grant:
    """What a policy on a resource says to a principal: the verdict, and whether it was named itself.

    A principal that is named itself needs no identity policy in the resource's own account; one that
    is trusted through its account does.
    """

    verdict: Verdict
    named: bool = False


def evaluate_resource_policy(
    document: str, action: str, principals: Mapping[str, bool], context: Context, *, resource: str = ""
) -> Grant:
    """What a policy on a resource says: a role's trust policy, a secret's resource policy.

    Args:
        document: the policy as JSON.
        action: as `sts:AssumeRole`.
        principals: `Type:value` forms of the caller (`AWS:arn…`), each with whether it names the caller itself.
        context: the request's condition keys.
        resource: the resource's ARN; empty for trust policies, which have no Resource element.

    Raises:
        UnknownPolicyElement: a statement in question uses something unknown.
    """
    grant = Grant(Verdict.SILENT)
    for statement in _statements([document]):
        if "NotPrincipal" in statement:
            raise UnknownPolicyElement("NotPrincipal")
        matched = [named for form, named in principals.items() if _covers_principal(statement, form)]
        if not matched or not _covers_action(statement, action):
            continue
        if resource and not _covers_resource(statement, resource, context):
            continue
        if not _conditions_hold(statement, context):
            continue
        if statement["Effect"] == "Deny":
            return Grant(Verdict.DENIED)
        grant = Grant(Verdict.ALLOWED, grant.named or any(matched))
    return grant


def _statements(documents: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    for document in documents:
        statements = json.loads(document)["Statement"]
        yield from statements if isinstance(statements, list) else [statements]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _covers_principal(statement: Mapping[str, Any], form: str) -> bool:
    kind, _, value = form.partition(":")
    principal = statement.get("Principal")
    if principal == "*":
        return kind == "AWS"
    return isinstance(principal, Mapping) and any(
        one in ("*", value) for one in _listed(principal.get(kind) or [])
    )


def _covers_action(statement: Mapping[str, Any], action: str) -> bool:
    def any_matches(patterns: Any) -> bool:
        return any(_like(pattern.lower(), action.lower()) for pattern in _listed(patterns))

    if "NotAction" in statement:
        return not any_matches(statement["NotAction"])
    return any_matches(statement["Action"])


def _covers_resource(statement: Mapping[str, Any], resource: str, context: Context) -> bool:
    def any_matches(patterns: Any) -> bool:
        return any(
            (known := _substitute(pattern, context)) is not None and re.fullmatch(known, resource, re.DOTALL)
            for pattern in _listed(patterns)
        )

    if "NotResource" in statement:
        return not any_matches(statement["NotResource"])
    return any_matches(statement["Resource"])


def _like(pattern: str, value: str) -> bool:
    return re.fullmatch(_regex(pattern), value, re.DOTALL) is not None


def _regex(pattern: str) -> str:
    return "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)


_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")


def _substitute(pattern: str, context: Context, *, wildcards: bool = True) -> str | None:
    """The pattern as a regular expression with its variables filled in, None where one has no value.

    A variable's value is literal text: wildcards in a session tag widen nothing.
    """
    parts: list[str] = []
    end = 0
    plain: Callable[[str], str] = _regex if wildcards else re.escape
    for found in _VARIABLE.finditer(pattern):
        parts.append(plain(pattern[end : found.start()]))
        end = found.end()
        name, _, default = (part.strip() for part in found[1].partition(","))
        if name in {"*", "?", "$"}:
            parts.append(re.escape(name))
        elif values := context.get(name.lower()):
            parts.append(re.escape(values[0]))
        elif default:
            parts.append(re.escape(default.strip("'")))
        else:
            return None
    return "".join(parts) + plain(pattern[end:])


def _conditions_hold(statement: Mapping[str, Any], context: Context) -> bool:
    return all(
        _condition_holds(operator, key.lower(), _listed(expected), context)
        for operator, keys in (statement.get("Condition") or {}).items()
        for key, expected in keys.items()
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equals(expected: str, actual: str, context: Context) -> bool:
    known = _substitute(expected, context, wildcards=False)
    return known is not None and re.fullmatch(known, actual, re.DOTALL) is not None


def _equals_ignoring_case(expected: str, actual: str, context: Context) -> bool:
    known = _substitute(expected, context, wildcards=False)
    return known is not None and re.fullmatch(known, actual, re.DOTALL | re.IGNORECASE) is not None


def _is_like(expected: str, actual: str, context: Context) -> bool:
    known = _substitute(expected, context)
    return known is not None and re.fullmatch(known, actual, re.DOTALL) is not None


def _is_bool(expected: str, actual: str, _: Context) -> bool:
    return expected.lower() == actual.lower()


_OPERATORS: Final[Mapping[str, tuple[Callable[[str, str, Context], bool], bool]]] = {
    "StringEquals": (_equals, True),
    "StringNotEquals": (_equals, False),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringLike": (_is_like, True),
    "StringNotLike": (_is_like, False),
    "ArnEquals": (_is_like, True),
    "ArnLike": (_is_like, True),
    "ArnNotEquals": (_is_like, False),
    "ArnNotLike": (_is_like, False),
    "Bool": (_is_bool, True),
}
"""Each operator: how one value is compared, and whether a match makes it hold (or, negated, fail)."""


def _condition_holds(operator: str, key: str, expected: Sequence[Any], context: Context) -> bool:
    actual = context.get(key)
    if operator == "Null":
        return any((_text(one).lower() == "true") == (actual is None) for one in expected)
    quantifier, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    if (known := _OPERATORS.get(name.removesuffix("IfExists"))) is None:
        raise UnknownPolicyElement(f"condition operator {operator}")
    compare, positive = known
    if actual is None:
        # A missing key fails a positive operator and satisfies a negated one.
        return optional or (quantifier == "ForAllValues") or (not positive and quantifier == "")
    results = [any(compare(_text(one), value, context) for one in expected) is positive for value in actual]
    if quantifier == "ForAllValues":
        return all(results)
    if quantifier == "ForAnyValue" or positive:
        return any(results)
    return all(results)
