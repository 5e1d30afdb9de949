"""Which remote keys of a ClusterSecretStore a namespace may read, as StorePolicies say it.

A store that a policy selects lets in nothing but what some policy lets in. Policies are taken apart once
(`compile_policy`); for a store and a namespace they make an `Admission`, which is asked with each key. A
placeholder is filled in after its pattern was taken apart, as literal text: whatever a namespace is called,
and whatever its labels hold, it cannot act as a wildcard.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from keyferry.api.meta import LabelSelector
from keyferry.api.model import Model, decode
from keyferry.api.store_policy import PolicyStoreRef, StorePolicyRule, StorePolicySpec
from keyferry.core.key_patterns import FilledPattern, KeyPattern, let_in
from keyferry.core.patterns import Pattern
from keyferry.core.stores import selects
from keyferry.errors import ForbiddenError, SpecError, one_line

SHOWN: Final = 3
"""So many patterns, policies or problems an error names."""
_SHOWN_CHARS: Final = 200
_UNUSABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, SpecError)

T = TypeVar("T")


class Action(enum.Enum):
    """What is done with a remote key."""

    READ = "read"
    WRITE = "write"
    """Nothing in a rule lets it in yet."""


@dataclass(frozen=True, slots=True)
class _Rule:
    written: bytes
    """As JSON: equal rules are known by it."""
    names: frozenset[str]
    regexes: tuple[Pattern, ...]
    selector: LabelSelector | None
    keys: tuple[KeyPattern, ...]
    actions: frozenset[Action] = frozenset({Action.READ})

    def is_for(self, namespace: str, labels: Mapping[str, str] | None) -> bool:
        if not self.names and not self.regexes and self.selector is None:
            return True
        if namespace in self.names or any(pattern.matches(namespace) for pattern in self.regexes):
            return True
        return self.selector is not None and labels is not None and selects(self.selector, labels)


@dataclass(frozen=True, slots=True)
class Policy:
    """A StorePolicy, taken apart. One with a `problem` lets nothing in.

    Args:
        name: its own.
        stores: the names of those that it selects.
        selectors: of the labels of those that it selects.
        everything: whether it selects every store, because what it selects cannot be read.
        problem: why it cannot be used; empty where it can.
    """

    name: str
    stores: frozenset[str] = frozenset()
    selectors: tuple[LabelSelector, ...] = ()
    everything: bool = False
    rules: tuple[_Rule, ...] = ()
    problem: str = ""
    by_labels: bool = False
    """Whether the labels of namespaces matter for what it lets in."""

    def selects(self, store: str, labels: Mapping[str, str]) -> bool:
        """Whether it limits a ClusterSecretStore of this name with these labels."""
        if self.everything or store in self.stores:
            return True
        return any(selects(selector, labels) for selector in self.selectors)


class _OnlyRefs(Model, frozen=True, kw_only=True):
    store_refs: tuple[PolicyStoreRef, ...]


def compile_policy(name: str, spec: bytes) -> Policy:
    """A policy of its spec as JSON. Never fails: what cannot be used lets nothing in, and says why."""
    try:
        refs = decode(spec, _OnlyRefs).store_refs
        named, selectors = _selected(refs)
    except _UNUSABLE as error:
        return Policy(name, everything=True, problem=_told(error))
    try:
        rules = decode(spec, StorePolicySpec).rules
        compiled = tuple(_rule(rule, f"spec.rules[{index}]") for index, rule in enumerate(rules))
    except _UNUSABLE as error:
        return Policy(name, named, selectors, problem=_told(error))
    return Policy(name, named, selectors, rules=compiled, by_labels=any(map(_is_by_labels, compiled)))


def _is_by_labels(rule: _Rule) -> bool:
    return rule.selector is not None or any(key.by_labels for key in rule.keys)


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, SpecError) else one_line(f"the spec is invalid: {error}")


def _selected(refs: Iterable[PolicyStoreRef]) -> tuple[frozenset[str], tuple[LabelSelector, ...]]:
    named, selectors = [], []
    for index, ref in enumerate(refs):
        if ref.name:
            named.append(ref.name)
        elif ref.label_selector is None:
            raise SpecError(f"spec.storeRefs[{index}] has neither name nor labelSelector")
        if ref.label_selector is not None:
            _check_selector(ref.label_selector, f"spec.storeRefs[{index}].labelSelector")
            selectors.append(ref.label_selector)
    return frozenset(named), tuple(selectors)


def _rule(rule: StorePolicyRule, where: str) -> _Rule:
    if rule.namespace_selector is not None:
        _check_selector(rule.namespace_selector, f"{where}.namespaceSelector")
    return _Rule(
        msgspec.json.encode(rule),
        frozenset(rule.namespaces),
        tuple(_within(f"{where}.namespaceRegexes", rule.namespace_regexes, Pattern)),
        rule.namespace_selector,
        tuple(_within(f"{where}.keys", rule.keys, KeyPattern.parse)),
    )


def _within(where: str, sources: Sequence[str], make: Callable[[str], T]) -> Iterator[T]:
    for index, source in enumerate(sources):
        try:
            yield make(source)
        except SpecError as error:
            raise error.within(f"{where}[{index}]") from None


def _check_selector(selector: LabelSelector, where: str) -> None:
    try:
        selects(selector, {})
    except SpecError as error:
        raise error.within(where) from None


@dataclass(frozen=True, slots=True)
class Admission:
    """What the policies of one store let one namespace do. Equal ones decide and tell the same.

    Args:
        policies: the names of all policies that select the store.
        patterns: what is let in.
        lacking: patterns as they are written, each with a label that the namespace lacks.
        problems: of the policies that cannot be used, by their names.
    """

    namespace: str
    policies: tuple[str, ...]
    patterns: tuple[FilledPattern, ...] = ()
    lacking: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()

    def lets_in(self, key: str) -> bool:
        """Whether a key is let in.

        Args:
            key: in the store's own form (`Provider.canonical`).
        """
        return not _climbs(key) and let_in(key, self.patterns)

    def lets_in_as(self, other: Admission) -> bool:
        """Whether another one lets in the same, whatever it tells of it."""
        return self.patterns == other.patterns or set(self.patterns) == set(other.patterns)

    def check(self, key: str, named: str = "") -> None:
        """Check that a key is let in.

        Args:
            key: as for `lets_in`.
            named: as the manifest names it.

        Raises:
            ForbiddenError: it is not.
        """
        if self.lets_in(key):
            return
        shown = _quoted(key) if named in ("", key) else f"{_quoted(named)} ({_quoted(key)} at the store)"
        what = f"remote key {shown} is not let in"
        if _climbs(key):
            hint = 'No policy lets in a key with a segment "." or "..": name it without'
            raise ForbiddenError(f"{what} {self._by}", hint=hint)
        raise ForbiddenError(f"{what} {self._by}", hint=" ".join(self._hints(f" {_quoted(key)} or wider")))

    def check_any(self) -> None:
        """Check that anything can be let in at all.

        Raises:
            ForbiddenError: no pattern is for the namespace.
        """
        if not self.patterns:
            raise ForbiddenError(f"nothing is let in {self._by}", hint=" ".join(self._hints("")))

    @property
    def _by(self) -> str:
        kind = "StorePolicy" if len(self.policies) == 1 else "StorePolicies"
        return f'for namespace "{self.namespace}" by {kind} {_listed(self.policies)}'

    def _hints(self, would: str) -> Iterator[str]:
        """What stands in the way, what is let in, and what would help."""
        for name, problem in self.problems[:SHOWN]:
            yield f'StorePolicy "{name}" cannot be used and lets nothing in: {problem};'
        if self.patterns:
            yield f"Let in is what fits {_listed([pattern.shown for pattern in self.patterns])};"
        if self.lacking:
            yield f"the namespace has no value of the label in {_listed(self.lacking)};"
        yield f"ask the policy's owner for a rule for this namespace with a key pattern{would}"


def admission(
    policies: Sequence[Policy], namespace: str, labels: Mapping[str, str] | None, action: Action = Action.READ
) -> Admission:
    """What policies let a namespace do.

    Args:
        policies: all that select the store; at least one.
        labels: of the namespace; None where they are not known, which fits no selector and fills no placeholder.
        action: what it wants to do.
    """
    patterns: dict[FilledPattern, None] = {}
    lacking: dict[str, None] = {}
    for policy in policies:
        for rule in policy.rules:
            if action not in rule.actions or not rule.is_for(namespace, labels):
                continue
            for key in rule.keys:
                filled = key.filled(namespace, labels or {})
                if filled is not None:
                    patterns[filled] = None
                else:
                    lacking[key.source] = None
    return Admission(
        namespace,
        tuple(sorted(policy.name for policy in policies)),
        tuple(patterns),
        tuple(lacking),
        tuple(sorted((policy.name, policy.problem) for policy in policies if policy.problem)),
    )


def depends_on_labels(policies: Iterable[Policy]) -> bool:
    """Whether the labels of namespaces matter for what policies let in."""
    return any(policy.by_labels for policy in policies)


class Difference:
    """What two sets of policies about one store do not have in common.

    Args:
        was, now: the policies.
    """

    def __init__(self, was: Sequence[Policy], now: Sequence[Policy]) -> None:
        before = {rule.written: rule for policy in was for rule in policy.rules}
        after = {rule.written: rule for policy in now for rule in policy.rules}
        # Without any policy all is let in: to everybody the first one and the last one make a difference.
        self._everybody = bool(was) != bool(now)
        self._rules = [before.get(rule) or after[rule] for rule in before.keys() ^ after.keys()]

    def concerns(self, namespace: str, labels: Mapping[str, str] | None) -> bool:
        """Whether something else may be let in for a namespace.

        Args:
            labels: of the namespace; None where they are not known.
        """
        return self._everybody or any(
            rule.is_for(namespace, labels) or (labels is None and rule.selector is not None)
            for rule in self._rules
        )


def _climbs(key: str) -> bool:
    """Whether a key may lead elsewhere than it looks."""
    return "." in key and not {".", ".."}.isdisjoint(key.split("/"))


def _quoted(text: str) -> str:
    return f'"{one_line(text, _SHOWN_CHARS)}"'


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(map(_quoted, texts[:SHOWN])) + more
