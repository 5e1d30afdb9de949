"""What templates may take, and what begins and ends an action in them, by the flags of `keyferry run`."""

from __future__ import annotations

import click
import pytest

from keyferry.cli.process import RunOptions, _render_settings
from keyferry.cli.run import run
from keyferry.gotemplate import Limits
from keyferry.reconcile.rendering import RenderSettings


def settings(*arguments: str) -> RenderSettings:
    """What the operator makes of its command line."""
    given = run.make_context("run", list(arguments)).params
    return _render_settings(RunOptions(**{key: given[key] for key in given if key.startswith("template_")}))


def test_without_flags_the_engines_own_limits_hold() -> None:
    assert settings() == RenderSettings("{{", "}}", Limits())


def test_flags_set_limits_and_delimiters() -> None:
    """Cryptography is counted in units, and the time bounds them as it does by default."""
    given = settings(
        "--template-left-delimiter=[[",
        "--template-right-delimiter=]]",
        "--template-steps=5000",
        "--template-memory=2",
        "--template-timeout=1500ms",
    )

    share = Limits().crypto_units / Limits().seconds
    limits = Limits(steps=5000, memory_bytes=2 << 20, seconds=1.5, crypto_units=int(1.5 * share))
    assert given == RenderSettings("[[", "]]", limits)


@pytest.mark.parametrize("flag", ["--template-steps=0", "--template-memory=0", "--template-timeout=1d"])
def test_limits_that_are_none_are_refused(flag: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        settings(flag)

    assert f"'{flag.partition('=')[0]}'" in refused.value.format_message()
