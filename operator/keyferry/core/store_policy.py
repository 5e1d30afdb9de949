"""Which remote keys of a ClusterSecretStore a namespace may read, as StorePolicies say it.

A store that a policy selects lets in nothing but what some policy lets in. Policies are taken apart once
(`compile_policy`); for a store and a namespace they make an `Admission`, which is asked with each key. A
placeholder is filled in after its pattern was taken apart, as literal text: whatever a namespace is called,
and whatever its labels hold, it cannot act as a wildcard.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import msgspec

from keyferry.api.meta import LabelSelector
from keyferry.api.model import Model, decode
from keyferry.api.store_policy import (
    LABEL_CHARS,
    MAX_PLACEHOLDERS,
    PolicyStoreRef,
    StorePolicyRule,
    StorePolicySpec,
)
from keyferry.core.patterns import MAX_PATTERN_CHARS, Pattern
from keyferry.core.stores import selects
from keyferry.errors import ForbiddenError, SpecError, one_line

SHOWN: Final = 3
"""So many patterns, policies or problems an error names."""
_SHOWN_CHARS: Final = 200
_ENDS: Final = len(r"\A(?:)\z")
_UNUSABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, SpecError)

T = TypeVar("T")


class Action(enum.Enum):
    """What is done with a remote key."""

    READ = "read"
    WRITE = "write"
    """Nothing in a rule lets it in yet."""


class _Part(enum.Enum):
    LITERAL = enum.auto()
    SEGMENT = enum.auto()
    """Anything but a slash."""
    ANYTHING = enum.auto()
    NAMESPACE = enum.auto()
    LABEL = enum.auto()


_TOKENS: Final = re.compile(
    rf"(?P<ANYTHING>\*\*+)|(?P<SEGMENT>\*)|(?P<NAMESPACE>\{{namespace\}})|\{{label:(?P<LABEL>[{LABEL_CHARS}]+)\}}"
    r"|(?P<LITERAL>[^*{}]+)"
)
_WILDCARDS: Final = {_Part.SEGMENT: ("*", "[^/]*"), _Part.ANYTHING: ("**", "(?s:.*)")}
"""How a wildcard is shown, and as a regular expression."""


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """A pattern of remote keys, taken apart.

    Args:
        source: as it is written.
        parts: its parts, each with its text: of a literal, or the name of a label.
    """

    source: str
    parts: tuple[tuple[_Part, str], ...]

    @classmethod
    def parse(cls, source: str) -> KeyPattern:
        """Take a pattern apart.

        Raises:
            SpecError: it has braces that are no placeholder, or too many placeholders.
        """
        parts: list[tuple[_Part, str]] = []
        end = 0
        while end < len(source):
            token = _TOKENS.match(source, end)
            if token is None or token.lastgroup is None:
                raise SpecError(
                    f'"{one_line(source, _SHOWN_CHARS)}" has a brace that belongs to no placeholder',
                    hint="There are {namespace} and {label:NAME}; a brace in a key is matched by a star",
                )
            parts.append((_Part[token.lastgroup], token[token.lastgroup]))
            end = token.end()
        filled = [part for part, _ in parts if part in (_Part.NAMESPACE, _Part.LABEL)]
        if len(filled) > MAX_PLACEHOLDERS:
            raise SpecError(
                f'"{one_line(source, _SHOWN_CHARS)}" has {len(filled)} placeholders, at most {MAX_PLACEHOLDERS} are served'
            )
        return cls(source, tuple(parts))

    def filled(self, namespace: str, labels: Mapping[str, str]) -> FilledPattern | None:
        """The pattern for one namespace; None where the namespace lacks a label, or has it empty."""
        shown, regex = "", ""
        for part, text in self.parts:
            if part in _WILDCARDS:
                shown, regex = shown + _WILDCARDS[part][0], regex + _WILDCARDS[part][1]
                continue
            literal = text
            if part is not _Part.LITERAL:
                literal = namespace if part is _Part.NAMESPACE else labels.get(text, "")
            if not literal:
                return None
            shown, regex = shown + literal, regex + re.escape(literal)
        return FilledPattern(shown, regex)


class FilledPattern(NamedTuple):
    """A pattern for one namespace: how people read it, and as a regular expression without its ends."""

    shown: str
    regex: str


@dataclass(frozen=True, slots=True)
class _Rule:
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
    return Policy(name, named, selectors, rules=compiled)


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
        if _climbs(key):
            return False
        return any(pattern.matches(key) for pattern in _compiled(self.patterns))

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
    return any(
        rule.selector is not None or any(part is _Part.LABEL for key in rule.keys for part, _ in key.parts)
        for policy in policies
        for rule in policy.rules
    )


def _climbs(key: str) -> bool:
    """Whether a key may lead elsewhere than it looks."""
    return "." in key and not {".", ".."}.isdisjoint(key.split("/"))


@functools.lru_cache(maxsize=256)
def _compiled(patterns: tuple[FilledPattern, ...]) -> tuple[Pattern, ...]:
    """Few regular expressions that stand for all patterns."""
    groups: list[str] = []
    for regex in (pattern.regex for pattern in patterns):
        if groups and len(groups[-1]) + len(regex) + 1 + _ENDS <= MAX_PATTERN_CHARS:
            groups[-1] += f"|{regex}"
        else:
            groups.append(regex)
    return tuple(Pattern(rf"\A(?:{group})\z") for group in groups)


def _quoted(text: str) -> str:
    return f'"{one_line(text, _SHOWN_CHARS)}"'


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(map(_quoted, texts[:SHOWN])) + more
