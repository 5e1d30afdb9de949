"""Canaries and the detector that looks for them: a secret value must not be where values do not belong.

A canary is a secret value made of letters and digits, with a random part that is new in every run. A
test puts canaries into stores; the detector then reads logs, statuses, events, metrics and exception
texts, and finds a canary, or any piece of one of at least `PIECE` characters of its random part: as it
is, in any letter case, base64 (plain, URL-safe, also of base64), hex, percent-encoded or JSON-escaped,
alone or within a larger encoded text. Findings name place and form and never show the value.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import secrets
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PIECE: Final = 12
"""The shortest piece of a random part that is a finding."""
MARKER_VARIABLE: Final = "KEYFERRY_TEST_CANARY_MARKER"
"""Environment variable by which processes of one run share the marker; it is no secret."""

_ALPHABET: Final = string.ascii_letters + string.digits
_MARKER_CHARS: Final = 20
_RANDOM_CHARS: Final = 32
_GRAM: Final = 8
"""Texts are sampled by pieces of this size at every fifth place: of 12 equal characters one always fits."""
_STRIDE: Final = PIECE - _GRAM + 1


def _text_from(digest: bytes, size: int) -> str:
    number = int.from_bytes(digest, "big")
    chars = []
    for _ in range(size):
        number, index = divmod(number, len(_ALPHABET))
        chars.append(_ALPHABET[index])
    return "".join(chars)


@dataclass(frozen=True, slots=True)
class Finding:
    """A leak.

    Args:
        place: the label of the text that holds it.
        canary: the canary's name; empty if only the run's marker was found.
        form: how it is encoded there.
        line: the line, from 1.
    """

    place: str
    canary: str
    form: str
    line: int

    def __str__(self) -> str:
        which = f"canary {self.canary!r}" if self.canary else "a canary"
        return f"{self.place}, line {self.line}: {which} as {self.form}"


class Canaries:
    """The canaries of one run.

    Args:
        marker: what all canaries of the run have in common; new, or the environment's, if left out.
    """

    def __init__(self, marker: str = "") -> None:
        self.marker = marker or os.environ.get(MARKER_VARIABLE) or _new_marker()
        self._names: dict[str, str] = {}

    def canary(self, name: str) -> str:
        """The secret value of that name: the same in all of the run, another in each run."""
        if name not in self._names:
            digest = hmac.digest(self.marker.encode(), name.encode(), "sha512")
            self._names[name] = _text_from(digest, _RANDOM_CHARS)
        return f"canary{self.marker}{self._names[name]}"

    def parts(self) -> Mapping[str, str]:
        """The random parts by name; the marker's name is empty."""
        return {"": self.marker, **self._names}


def _new_marker() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_MARKER_CHARS))


RUN: Final = Canaries()
"""This run's canaries."""


def canary(name: str) -> str:
    """This run's canary of that name."""
    return RUN.canary(name)


class LeakDetector:
    """Looks for canaries in texts.

    Args:
        canaries: what to look for; this run's if left out.
    """

    def __init__(self, canaries: Canaries = RUN) -> None:
        self._canaries = canaries
        self._known = 0
        self._forms: dict[str, tuple[str, str, str, int]] = {}
        self.findings: list[Finding] = []

    def look(self, place: str, content: str | bytes | Mapping[str, Any] | Sequence[Any]) -> list[Finding]:
        """Look into a text, or into anything that JSON can hold; what is found is also kept.

        Args:
            place: what the text is, for the finding; it must not be secret itself.
            content: bytes are read as UTF-8 as far as they are.
        """
        if isinstance(content, bytes):
            text = content.decode(errors="replace")
        else:
            text = (
                content if isinstance(content, str) else json.dumps(content, default=str, ensure_ascii=False)
            )
        found: dict[tuple[str, str, int], Finding] = {}
        for form, variant in _variants(text):
            for hit in self._scan(place, form, variant):
                found.setdefault((hit.canary, hit.form.removeprefix(f"{form} "), hit.line), hit)
        hits = sorted(found.values(), key=lambda hit: (hit.line, hit.canary, hit.form))
        self.findings += hits
        return hits

    def look_at_file(self, path: Path, place: str = "") -> list[Finding]:
        """Look into a file; one that does not exist holds nothing."""
        return self.look(place or path.name, path.read_bytes()) if path.exists() else []

    def look_at_error(self, place: str, error: BaseException) -> list[Finding]:
        """Look into an exception: its text, its arguments, its notes, and those that it came from."""
        seen: set[int] = set()
        texts: list[str] = []
        pending: list[BaseException | None] = [error]
        while pending:
            one = pending.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            texts += [str(one), repr(one), *getattr(one, "__notes__", [])]
            pending += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        return self.look(place, "\n".join(texts))

    def check(self) -> None:
        """Fail if anything was found so far.

        Raises:
            AssertionError: with every finding, without any value.
        """
        if self.findings:
            listed = "\n".join(f"  {finding}" for finding in self.findings)
            raise AssertionError(f"{len(self.findings)} places hold a secret value:\n{listed}")

    def _scan(self, place: str, form: str, text: str) -> Iterable[Finding]:
        self._learn()
        folded = text.lower()
        at = 0
        while at <= len(folded) - _GRAM:
            known = self._forms.get(folded[at : at + _GRAM])
            if known is None:
                at += _STRIDE
                continue
            name, encoding, needle, offset = known
            size, end = _overlap(folded, at, needle, offset)
            if size >= _least(encoding):
                told = encoding if form == "plain text" else f"{form} {encoding}"
                yield Finding(place, name, told, text.count("\n", 0, at) + 1)
                at = max(end, at + 1)
            else:
                at += _STRIDE

    def _learn(self) -> None:
        parts = self._canaries.parts()
        if len(parts) == self._known:
            return
        self._known = len(parts)
        for name, part in parts.items():
            for encoding, needle in _needles(part):
                for offset in range(len(needle) - _GRAM + 1):
                    gram = needle[offset : offset + _GRAM]
                    self._forms.setdefault(gram, (name, encoding, needle, offset))


_LEAST: Final = {"plain text": PIECE, "hex": 2 * PIECE, "base64": 14, "base64 of base64": 16}
"""The shortest finding in characters of each encoding: what `PIECE` plain ones surely become."""


def _least(encoding: str) -> int:
    return _LEAST[encoding]


def _overlap(text: str, at: int, needle: str, offset: int) -> tuple[int, int]:
    """How many characters text and needle share around a place where they agree, and where that ends."""
    start, left = at, offset
    while start > 0 and left > 0 and text[start - 1] == needle[left - 1]:
        start, left = start - 1, left - 1
    end, right = at, offset
    while end < len(text) and right < len(needle) and text[end] == needle[right]:
        end, right = end + 1, right + 1
    return end - start, end


def _needles(part: str) -> Iterable[tuple[str, str]]:
    """A random part in each encoding, in lower case, without the edges that depend on its neighbours."""
    yield "plain text", part.lower()
    yield "hex", part.encode().hex()
    for once in _base64_inner(part.encode()):
        yield "base64", once.decode().lower()
        for twice in _base64_inner(once):
            yield "base64 of base64", twice.decode().lower()


def _base64_inner(raw: bytes) -> Iterable[bytes]:
    """The characters of a text's base64 that depend on it alone, for each of the three alignments."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        first = (8 * shift + 5) // 6
        last = (8 * (shift + len(raw))) // 6
        yield encoded[first:last]


_PERCENT: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ESCAPES: Final = re.compile(r"(?:\\u00[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2})+")
_SEPARATED_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}[:\s-]){11,}[0-9A-Fa-f]{2}")


def _variants(text: str) -> Iterable[tuple[str, str]]:
    """The text, and the text with one layer of escapes taken off where it has any."""
    yield "plain text", text
    if "%" in text:
        yield "percent-encoded", _PERCENT.sub(lambda found: _chars(found[0].replace("%", "")), text)
    if "\\" in text:
        yield "escaped", _ESCAPES.sub(lambda found: _chars(re.sub(r"\\u00|\\x", "", found[0])), text)
    if _SEPARATED_HEX.search(text):
        yield "separated", _SEPARATED_HEX.sub(lambda found: re.sub(r"[:\s-]", "", found[0]), text)


def _chars(hexadecimal: str) -> str:
    return bytes.fromhex(hexadecimal).decode("latin-1")
