"""The documentation as tests see it: pages, their blocks, links, headings and code spans. Pure.

Marks are HTML comments right before a block; nobody sees them on the rendered page:

    <!-- refused: text -->   the API server must refuse the block, saying this
    <!-- synced: name -->    the operator must sync this ExternalSecret of the block
    <!-- failed: text -->    the operator must say this of the block's ExternalSecret
    <!-- policy: name -->    an IAM policy that a test gives to the AWS double
    <!-- given: name -->     a test gives the values that the block has no store for
    <!-- renders: name -->   what `keyferry render` prints at the end for this ExternalSecret of the page; … varies
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SAMPLES: Final = sorted((ROOT / "deploy/samples").glob("*.yaml"))

_FENCE: Final = re.compile(r"^( *)```(\S*)\s*$")
_MARK: Final = re.compile(r"^\s*<!-- (\w+): (.*) -->\s*$")
_SPAN: Final = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_DEFINITION: Final = re.compile(r"^\[([^\]]+)\]: (\S+)", re.MULTILINE)
_REFERENCE: Final = re.compile(r"\]\[([^\]]+)\]")
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)


def pages() -> list[Path]:
    """All pages that users read."""
    own = [ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "ARCHITECTURE.md")]
    return [*own, *sorted((ROOT / "deploy").rglob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def shown(path: Path) -> str:
    """The path as tests name it."""
    return path.relative_to(ROOT).as_posix()


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Args:
        page: where.
        line: of its first fence, from 1.
        language: what stands behind the fence.
        text: what is inside, without the block's own indentation.
        marks: the comments right before it, by their words.
    """

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str]

    @property
    def place(self) -> str:
        """For test names and failures."""
        return f"{shown(self.page)}:{self.line}"


def blocks(page: Path, language: str = "") -> Iterator[Block]:
    """The page's blocks, those of one language if it is given."""
    marks: dict[str, str] = {}
    opened: tuple[int, str, str] | None = None
    inside: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is not None:
            start, indent, found = opened
            if fence and not fence[2]:
                if language in ("", found):
                    yield Block(page, start, found, "".join(f"{one}\n" for one in inside), marks)
                opened, inside, marks = None, [], {}
            else:
                inside.append(line.removeprefix(indent))
        elif fence:
            opened = (number, fence[1], fence[2])
        elif mark := _MARK.match(line):
            marks[mark[1]] = mark[2]
        elif line.strip():
            marks = {}
    assert opened is None, f"{shown(page)}: a block is not closed"


def prose(page: Path) -> str:
    """The page without blocks and comments."""
    kept, inside = [], False
    for line in page.read_text("utf-8").splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    return _COMMENT.sub("", "\n".join(kept))


def spans(page: Path) -> list[str]:
    """The code spans of the page's prose."""
    return [" ".join(found[2].split()) for found in _SPAN.finditer(prose(page))]


def links(page: Path) -> list[str]:
    """Where the page's links lead, as written."""
    text = _SPAN.sub("", prose(page))
    return [*_LINK.findall(text), *(target for _, target in _DEFINITION.findall(text))]


def loose_references(page: Path) -> set[str]:
    """Names of reference links that the page does not define."""
    text = _SPAN.sub("`", prose(page))
    return set(_REFERENCE.findall(text)) - {name for name, _ in _DEFINITION.findall(text)}


def headings(page: Path) -> list[tuple[int, str]]:
    """(level, text) of the page's headings."""
    found = (re.match(r"^(#+) (.+)$", line) for line in prose(page).splitlines())
    return [(len(one[1]), one[2].strip()) for one in found if one]


def anchors(page: Path) -> set[str]:
    """The anchors that a renderer makes of the headings."""
    return {anchor(text) for _, text in headings(page)}


def anchor(heading: str) -> str:
    """Lower case, without punctuation, hyphens for blanks."""
    kept = (c for c in heading.lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
    return "".join(kept).replace(" ", "-")


def table(page: Path, *columns: str) -> list[list[str]]:
    """The rows of all tables of the page that have these columns, cells stripped."""
    rows: list[list[str]] = []
    current: list[str] | None = None
    for line in prose(page).splitlines():
        if not line.startswith("|"):
            current = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if current is None:
            current = cells
        elif tuple(current) == columns and not set("".join(cells)) <= set("-: "):
            rows.append(cells)
    return rows
