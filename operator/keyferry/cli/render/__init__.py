"""`keyferry render`: what ExternalSecrets make of values in a file, without a cluster and without a store.

`manifests` and `values` read files, `outcome` decides as the operator does, `printing` shows it; this file is
the command, and watches.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from keyferry.cli.render.manifests import STDIN, Manifest, Manifests, UnreadableError, files_of, load
from keyferry.cli.render.outcome import Outcome, Settings, render_one
from keyferry.cli.render.printing import as_json, as_yaml
from keyferry.cli.render.values import Values

DONE: Final = 0
FAILED: Final = 1
UNREADABLE: Final = 2
LOOK_EVERY_S: Final = 0.2


@click.command(
    short_help="Render ExternalSecrets from files, without a cluster.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    *("-f", "--filename", "paths"),
    metavar="PATH",
    multiple=True,
    required=True,
    help="A file, a folder with all below it, or - for standard input. Can be repeated.",
)
@click.option(
    *("--values", "value_files"),
    metavar="FILE",
    multiple=True,
    help="YAML of remote keys and their values. Can be repeated; a later file wins.",
)
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@click.option("--name", metavar="NAME", default="", help="Only the ExternalSecret of this name.")
@click.option("--hide-values", is_flag=True, help="Print lengths instead of values, for logs.")
@click.option("--watch", is_flag=True, help="Render again whenever a file changes, until interrupted.")
@click.option("--template-left-delimiter", "left", default="", help="What begins an action instead of {{.")
@click.option("--template-right-delimiter", "right", default="", help="What ends an action instead of }}.")
def render(  # noqa: PLR0913 -- one for each option
    *,
    paths: Sequence[str],
    value_files: Sequence[str],
    output: str,
    name: str,
    hide_values: bool,
    watch: bool,
    left: str,
    right: str,
) -> None:
    """Print the Secrets that ExternalSecrets make of the values in a file.

    No cluster and no store is asked: the values file stands for all stores, and ConfigMaps and Secrets with
    templates are looked for among the manifests. Selection, rewriting, decoding and templates are the
    operator's own, and so are the errors.

    \b
    The values file maps remote keys to values:
      db/prod: {username: app, password: example}   a remote secret that is a JSON object
      api-token: example                            one that is text
      api-token@v1: example                         its version v1
      Password/db: {password: example}              what the generator Password "db" makes

    \b
    Exit codes:
      0  everything was rendered
      1  at least one ExternalSecret failed; the others are printed
      2  a file cannot be read, or the command is wrong

    \b
    Examples:
      keyferry render -f manifests/ --values secrets.yaml
      keyferry render -f app.yaml --values secrets.yaml --watch     while writing a template
      helm template app | keyferry render -f - --values secrets.yaml --hide-values
    """  # noqa: D301 - what click reads is the character
    stdin = sys.stdin.read() if STDIN in paths else ""
    show = as_json if output == "json" else as_yaml

    def once() -> int:
        try:
            found = load(paths, stdin)
            wanted = _wanted(found, name)
            values = Values.load(value_files)
        except UnreadableError as error:
            click.echo(f"error: {error}", err=True)
            return UNREADABLE
        settings = Settings(left, right, datetime.now(UTC))
        outcomes = [render_one(one, found, values, settings) for one in wanted]
        click.echo(show(outcomes, values=not hide_values), nl=False)
        return _tell(outcomes)

    files = [*paths, *value_files]
    before = _state(files)  # what changes while it is rendered is rendered again
    code = once()
    if watch:
        _watch(files, before, once)
    raise SystemExit(code)


def _wanted(found: Manifests, name: str) -> list[Manifest]:
    wanted = [one for one in found.wanted if not name or one.body["metadata"]["name"] == name]
    if not wanted:
        of_name = f" of the name {name!r}" if name else ""
        raise UnreadableError(f"there is no ExternalSecret{of_name} in the files")
    return wanted


def _tell(outcomes: Sequence[Outcome]) -> int:
    """Say on standard error what failed, and what there is to know."""
    failed = 0
    for one in outcomes:
        for note in one.notes:
            click.echo(f"note: {one.manifest.where}: {one.manifest.name}: {note}", err=True)
        if one.failure is not None:
            failed += 1
            click.echo(f"error: {one.manifest.where}: {one.manifest.name}: {one.failure}", err=True)
    if failed:
        click.echo(f"{failed} of {len(outcomes)} failed", err=True)
    return FAILED if failed else DONE


def _watch(paths: Sequence[str], before: dict[Path, tuple[int, int, int]], once: Callable[[], int]) -> None:
    """Render again after each change, until interrupted."""
    click.echo("watching; Ctrl-C ends it", err=True)
    try:
        while True:
            time.sleep(LOOK_EVERY_S)
            now = _state(paths)
            if now != before:
                before = now
                click.echo(f"--- {datetime.now().astimezone():%H:%M:%S}", err=True)
                once()
    except KeyboardInterrupt:
        raise SystemExit(DONE) from None


def _state(paths: Sequence[str]) -> dict[Path, tuple[int, int, int]]:
    """By which a change of any file is seen, also where another file takes its place."""
    state: dict[Path, tuple[int, int, int]] = {}
    for path in paths:
        if path == STDIN:
            continue
        try:
            for file in files_of([path]):
                about = file.stat()
                state[file] = (about.st_ino, about.st_mtime_ns, about.st_size)
        except (UnreadableError, OSError):
            continue  # it is being written anew, and will be seen then
    return state
