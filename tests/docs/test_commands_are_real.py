"""Command lines on the pages fit the commands: subcommands, flags, targets of make."""

from __future__ import annotations

import re
import shlex

import click
import pytest
import yaml

from keyferry.cli import main

from .markdown import ROOT, blocks, pages, shown, spans

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def keyferry_lines(text: str) -> list[list[str]]:
    """The arguments of each call of keyferry in a shell text."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    words = [shlex.split(line, comments=True) for line in lines if "keyferry" in line]
    calls = [line for line in words if line and line[0] in ("keyferry", ".venv/bin/keyferry")]
    return [line[1:] for line in calls]


def refusal(arguments: list[str]) -> str:
    """Why a call of keyferry is refused before anything is done; empty if it is not."""
    command: click.Command = main
    parent, rest = None, list(arguments)
    try:
        while True:
            context = command.make_context(command.name or "", rest, parent=parent)
            # What a group leaves for its subcommand.
            rest = [*context._protected_args, *context.args]
            if not isinstance(command, click.Group) or not rest:
                return ""
            _, found, rest = command.resolve_command(context, rest)
            assert found is not None  # else it has raised
            command, parent = found, context
    except click.exceptions.NoArgsIsHelpError:  # a group by itself
        return ""
    except click.UsageError as error:
        return error.format_message()
    except click.exceptions.Exit:  # --version, --help
        return ""


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_keyferry_is_called_as_it_can_be(page):
    texts = [block.text for block in blocks(page, "sh")]
    texts += [span for span in spans(page) if span.startswith(("keyferry ", ".venv/bin/keyferry "))]
    calls = [call for text in texts for call in keyferry_lines(text)]

    assert {} == {" ".join(call): said for call in calls if (said := refusal(call))}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        pytest.param("run --nothing=1", "No such option", id="flag"),
        pytest.param("run --log-format=xml", "Invalid value for '--log-format'", id="value"),
        pytest.param("cluster start", "Missing option '--data'", id="missing"),
        pytest.param("fly away", "No such command 'fly'", id="command"),
        pytest.param("crds extra", "unexpected extra argument (extra)", id="argument"),
        pytest.param("run --namespace team-a", "", id="right"),
    ],
)
def test_wrong_calls_are_recognised(call, said):
    told = refusal(call.split())

    assert said in told
    assert bool(said) == bool(told)


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_targets_of_make_exist(page):
    lines = [line for block in blocks(page, "sh") for line in block.text.splitlines()]
    lines += [span for span in spans(page) if span.startswith("make ")]
    named = {line.split()[1] for line in lines if line.startswith("make ")}

    assert set() == named - TARGETS


@pytest.mark.parametrize(
    "block", [block for page in pages() for block in blocks(page, "sh")], ids=lambda block: block.place
)
def test_shell_blocks_are_well_formed(block):
    for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
        shlex.split(line, comments=True)


def test_deployment_passes_flags_that_there_are():
    [deployment] = yaml.safe_load_all((ROOT / "deploy/operator/deployment.yaml").read_text("utf-8"))
    [container] = deployment["spec"]["template"]["spec"]["containers"]

    assert "" == refusal(container["args"])
