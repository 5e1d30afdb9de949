"""Manifests in YAML and JSON: found by structure, so that nothing but their apiVersion is touched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import yaml

from keyferry.api import names
from keyferry.cli.convert.fields import MERGE_KEY, TEMPLATED, outdated
from keyferry.cli.convert.findings import MENTION, OLD, OLD_API, OLDEST_API, SPECS, Found

_LIST: Final = "List"
_ASSIGNED: Final = re.compile(r"""apiVersion\\*["']?\s*:\s*\\*["']?$""")
"""What stands before a manifest's version, as YAML and as JSON within a text."""
_COMMENT: Final = re.compile(r"[ \t]*#")


class NotATreeError(Exception):
    """The text is no YAML."""


def find_in_tree(text: str, *, embedded: bool) -> Found:
    """What there is to change and to tell in a text, which may hold several documents.

    Args:
        text: YAML or JSON.
        embedded: manifests inside other objects count too: as parts of them, and as text in their values.

    Raises:
        NotATreeError: it is none of them, or nested too deeply.
    """
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        search = _Search(text, embedded=embedded)
        for document in documents:
            search.manifest(document)
    except (yaml.YAMLError, RecursionError) as error:
        raise NotATreeError from error
    return search.found


class _Search:
    def __init__(self, text: str, *, embedded: bool) -> None:
        self.found = Found()
        self._text = text
        self._embedded = embedded
        self._seen: set[int] = set()

    def manifest(self, node: yaml.Node) -> None:
        """A document, or an item of a List."""
        if not isinstance(node, yaml.MappingNode):
            self._inside(node)
            return
        if not self._look(node):
            return
        self._convert(node)
        items = _get(node, "items")
        if str(_text_of(_get(node, "kind"))).endswith(_LIST) and isinstance(items, yaml.SequenceNode):
            for item in items.value:
                self.manifest(item)
        for _, value in node.value:
            self._inside(value)

    def _inside(self, node: yaml.Node) -> None:
        """A part of a manifest, or of something that is none."""
        if not self._look(node):
            return
        if isinstance(node, yaml.MappingNode):
            if self._embedded:
                self._convert(node)
            self._selector(node)
            for key, value in node.value:
                self._inside(key)
                self._inside(value)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._inside(item)
        elif self._embedded:
            self._convert_text(node)

    def _look(self, node: yaml.Node) -> bool:
        """Whether the node was not looked at before: aliases lead to it again."""
        new = id(node) not in self._seen
        self._seen.add(id(node))
        return new

    def _convert(self, node: yaml.MappingNode) -> None:
        version, kind = _get(node, "apiVersion"), _get(node, "kind")
        name = _text_of(version)
        if version is None or name not in (OLD_API, OLDEST_API):
            return
        said = _text_of(kind)
        plain = (said or "").removesuffix(_LIST)
        if name == OLDEST_API:
            if plain in SPECS:
                told = f"{said} of {OLDEST_API} has other fields: write it anew for {names.API_VERSION}"
                self.found.by_hand(version.start_mark.index, told)
            return
        if plain not in SPECS and said is not None and TEMPLATED not in said:
            self.found.by_hand(version.start_mark.index, f"there is no kind {said[:40]!r} in {OLD_API}")
            return
        at = self._text.rfind(OLD, version.start_mark.index, version.end_mark.index)
        if at < 0:
            self.found.by_hand(version.start_mark.index, f"{OLD_API} is written with escapes: change it")
            return
        self.found.change(at, _shown(node, said))
        spec = _get(node, "spec")
        if said in SPECS and spec is not None:
            for where, told in outdated(spec, SPECS[said], "spec"):
                self.found.by_hand(where, told)

    def _selector(self, node: yaml.MappingNode) -> None:
        """A kustomize target and its like, which would miss what is converted."""
        version = _get(node, "version")
        if version is None or _text_of(version) != OLD or _text_of(_get(node, "group")) != names.GROUP:
            return
        told = f"selects objects of version {OLD}, which will be no more: write {names.VERSION}"
        self.found.by_hand(version.start_mark.index, told)

    def _convert_text(self, node: yaml.Node) -> None:
        """Manifests in a value that is text."""
        start, end = node.start_mark.index, node.end_mark.index
        for mention in MENTION.finditer(self._text, start, end):
            line = max(self._text.rfind("\n", 0, mention.start()) + 1, start)
            if _COMMENT.match(self._text, line) or not _ASSIGNED.search(self._text, line, mention.start()):
                continue
            self.found.change(mention.end() - len(OLD), "a manifest in a text")


def _get(node: yaml.MappingNode, name: str) -> yaml.Node | None:
    """The value under a key, also one that is merged in."""
    merged: list[yaml.Node] = []
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            found: yaml.Node = value
            return found
        if isinstance(key, yaml.ScalarNode) and key.value == MERGE_KEY:
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
    inherited = (_get(one, name) for one in merged if isinstance(one, yaml.MappingNode) and one is not node)
    return next(_present(inherited), None)


def _present(nodes: Iterator[yaml.Node | None]) -> Iterator[yaml.Node]:
    return (node for node in nodes if node is not None)


def _text_of(node: yaml.Node | None) -> str | None:
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _shown(node: yaml.MappingNode, kind: str | None) -> str:
    """The object in words, such as `ExternalSecret app`."""
    metadata = _get(node, "metadata")
    name = _text_of(_get(metadata, "name")) if isinstance(metadata, yaml.MappingNode) else None
    return " ".join(part for part in (kind, name) if part) or "an object"
