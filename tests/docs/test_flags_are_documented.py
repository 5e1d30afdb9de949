"""The flags of `keyferry run` on the page, and those of the page in the command."""

from __future__ import annotations

import re
from typing import Any

import click

from keyferry.cli.run import WITHOUT_MEANING, run

from .markdown import ROOT, prose, table

PAGE = ROOT / "docs/install.md"
VISIBLE = {
    option.opts[0]: option for option in run.params if isinstance(option, click.Option) and not option.hidden
}
WORDS = {"namespace": "all", "context": "current one", "client-qps": "no limit", "client-burst": "`1`"}
"""Defaults that the page tells in words, or that are not the command's but what it makes of nothing."""


def _default(option: click.Option) -> str:
    name = option.opts[0].removeprefix("--")
    if name in WORDS:
        return WORDS[name]
    default: Any = option.default
    if default is None or option.multiple or not isinstance(default, str | int | float | bool):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_table_has_every_flag_with_its_default():
    rows = {flag.strip("`"): default for flag, default, _ in table(PAGE, "Flag", "Default", "Meaning")}

    assert {flag: _default(option) for flag, option in VISIBLE.items()} == rows


def test_choices_are_those_of_the_command():
    meaning = {flag.strip("`"): text for flag, _, text in table(PAGE, "Flag", "Default", "Meaning")}
    missing = [
        f"{flag}: {choice}"
        for flag, option in VISIBLE.items()
        if isinstance(option.type, click.Choice) and flag != "--loglevel"
        for choice in option.type.choices
        if f"`{choice}`" not in meaning[flag]
    ]

    assert [] == missing


def test_flags_without_effect_are_listed_by_their_reason():
    """Each item of the list is one reason and its flags; the reason is the one that is logged."""
    text = prose(PAGE).partition("### Accepted without effect")[2].partition("\n## ")[0]
    listed: dict[str, set[str]] = {}
    for item in re.split(r"^- ", text, flags=re.MULTILINE)[1:]:
        reason, _, flags = " ".join(item.split()).partition(": ")
        listed.setdefault(reason.lower(), set()).update(re.findall(r"`--([\w-]+)`", flags))
    logged: dict[str, set[str]] = {}
    for flag, reason in WITHOUT_MEANING.items():
        said = reason.replace(" in this version of Keyferry", "").replace(": ", ", ").lower()
        logged.setdefault(said, set()).add(flag)

    assert logged == listed
