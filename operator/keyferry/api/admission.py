"""ValidatingAdmissionPolicies for what the schemas cannot say.

A schema does not see metadata.namespace, and comparing a list with itself is over its cost budget. The
policies are generated, because the paths of one are those of the types. They are a convenience of early
answers: core checks again what matters for security, because policies can be absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from keyferry.api import names
from keyferry.api.generators.kinds import GENERATORS
from keyferry.api.references import ITEMS, reference_paths
from keyferry.api.secret_store import SecretStoreSpec

MAX_COMPARED_KEYS: Final = 128
"""Entries of data up to which duplicates are refused: comparing more costs the API server too much time.
Beyond, the last of two equal keys wins, as it does without the policy."""

NAMESPACE_MESSAGE: Final = (
    "namespace should either be empty or match the namespace of the SecretStore for a namespaced SecretStore"
)
GENERATOR_NAMESPACE_MESSAGE: Final = (
    "namespace should either be empty or match the namespace of the generator for a namespaced generator"
)


class Policy(NamedTuple):
    """A policy for one kind, or for several of one group.

    Args:
        resource: plural of the kind, or another name where there are several.
        variables: named expressions, in order.
        validations: expression, message, and an expression for the message or "".
        group: API group of the kinds.
        kinds: plurals of the kinds, where there are several.
    """

    resource: str
    variables: tuple[tuple[str, str], ...]
    validations: tuple[tuple[str, str, str], ...]
    group: str = names.GROUP
    kinds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the policy and of its binding."""
        return f"{self.resource}.{names.KEYFERRY_GROUP}"


def policies() -> tuple[Policy, ...]:
    """All policies, in the order in which they are printed."""
    return (
        _external_secret("externalsecrets", "spec"),
        _external_secret("clusterexternalsecrets", "spec.externalSecretSpec"),
        _secret_store(),
        _generators(),
    )


def _external_secret(resource: str, place: str) -> Policy:
    """The policy for a kind that holds an ExternalSecret's spec at this place."""
    spec = _select("object", place.split("."))
    compared = (
        f"{spec}.?target.?deletionPolicy.orValue('Retain') == 'Retain' && "
        f"{spec}.?data.orValue([]).size() <= {MAX_COMPARED_KEYS}"
    )
    return Policy(
        resource=resource,
        variables=(("keys", f"{compared} ? {spec}.?data.orValue([]).map(entry, entry.secretKey) : []"),),
        validations=(
            ("has(object.spec)", "either data or dataFrom should be specified", ""),
            (
                "variables.keys.all(k, variables.keys.exists_one(other, other == k))",
                "duplicate secretKey found",
                (
                    "'duplicate secretKey found: ' + "
                    "variables.keys.filter(k, !variables.keys.exists_one(other, other == k))[0]"
                ),
            ),
        ),
    )


def _secret_store() -> Policy:
    return Policy(
        resource="secretstores",
        variables=(
            ("own", "object.metadata.namespace"),
            ("foreign", f"({_foreign_references('object', reference_paths(SecretStoreSpec))}){_NOT_EMPTY}"),
        ),
        validations=(
            (
                "variables.foreign.size() == 0",
                NAMESPACE_MESSAGE,
                f"variables.foreign[0] + ': {NAMESPACE_MESSAGE}'",
            ),
        ),
    )


def _generators() -> Policy:
    """One policy for all namespaced generators that hold references, over the paths of all of them.

    Each kind lacks most of the paths, so the object is taken as it is and not as its schema describes it.
    """
    paths = {generator.plural: list(reference_paths(generator.spec)) for generator in GENERATORS}
    every = dict.fromkeys(path for found in paths.values() for path in found)
    return Policy(
        resource="generators",
        variables=(
            ("own", "object.metadata.namespace"),
            ("generator", "dyn(object)"),
            ("foreign", f"({_foreign_references('variables.generator', every)}){_NOT_EMPTY}"),
        ),
        validations=(
            (
                "variables.foreign.size() == 0",
                GENERATOR_NAMESPACE_MESSAGE,
                f"variables.foreign[0] + ': {GENERATOR_NAMESPACE_MESSAGE}'",
            ),
        ),
        group=names.GENERATORS_GROUP,
        kinds=tuple(plural for plural, found in paths.items() if found),
    )


_NOT_EMPTY: Final = ".filter(path, path != '')"


def _foreign_references(root: str, paths: Iterable[tuple[str, ...]]) -> str:
    """CEL for a list with the path of each reference that names a foreign namespace, '' for the others."""
    plain, nested = [], []
    for path in paths:
        if ITEMS not in path:
            plain.append(_if_foreign(root, ("spec", *path), path))
            continue
        at = path.index(ITEMS)
        outer, inner = path[:at], path[at + 1 :]
        if ITEMS in inner:
            raise ValueError(f"a list within a list is not supported: {path}")
        items = f"{_select(root, ('spec', *outer))}.orValue([])"
        shown = (*outer[:-1], outer[-1] + ITEMS, *inner)
        nested.append(f"{items}.map(item, {_if_foreign('item', inner, shown)})")
    return " + ".join(["[\n" + ",\n".join(plain) + "\n]", *nested])


def _if_foreign(root: str, path: Sequence[str], shown: Sequence[str]) -> str:
    namespace = f"{_select(root, (*path, 'namespace'))}.orValue(variables.own)"
    return f"{namespace} == variables.own ? '' : 'spec.{'.'.join(shown)}'"


def _select(root: str, path: Sequence[str]) -> str:
    return root + "".join(f".?{segment}" for segment in path)


def manifests(policy: Policy) -> list[dict[str, Any]]:
    """The policy and its binding, as objects of the API server."""
    metadata = {"name": policy.name, "labels": {"app.kubernetes.io/part-of": "keyferry"}}
    api_version = "admissionregistration.k8s.io/v1"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [policy.group],
                    "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": list(policy.kinds or (policy.resource,)),
                }
            ]
        },
        # An object that is being deleted, or older than a rule and not edited, is left alone: its labels and
        # finalizers can still be changed.
        "matchConditions": [
            {"name": "not-deleting", "expression": "!has(object.metadata.deletionTimestamp)"},
            {
                "name": "spec-changed",
                "expression": "request.operation == 'CREATE' || object.?spec != oldObject.?spec",
            },
        ],
        "variables": [{"name": name, "expression": expression} for name, expression in policy.variables],
        "validations": [_validation(*validation) for validation in policy.validations],
    }
    return [
        {
            "apiVersion": api_version,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata,
            "spec": spec,
        },
        {
            "apiVersion": api_version,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": policy.name, "validationActions": ["Deny"]},
        },
    ]


def _validation(expression: str, message: str, message_expression: str) -> dict[str, str]:
    entry = {"expression": expression, "message": message}
    if message_expression:
        entry["messageExpression"] = message_expression
    return entry
