"""`keyferry demo`: the main job on this machine, as a timeline; `rotate` and `stop` for one that was kept.

Here are the command line and the order of things; the acts are in `story`. Everything else is imported when
the command runs, because it needs the extra `local`.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import sys
import traceback
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from keyferry.cli.told import told

if TYPE_CHECKING:
    from keyferry.cli.demo.kept import KeptDemo
    from keyferry.cli.demo.stage import Stage
    from keyferry.cli.demo.timeline import Timeline

INTRODUCTION: Final = (
    "Keyferry brings secrets from a store into Kubernetes Secrets and keeps them right: here with a real API "
    "server, the operator, and a stand-in for AWS (moto, made strict: it checks signatures, policies and "
    "tokens). All on this machine and in temporary folders, "
)
PROMISE: Final = "for half a minute; then all is removed."
PROMISE_KEPT: Final = "until you end it (--keep)."

FOLDER = click.argument(
    "folder", required=False, type=click.Path(file_okay=False, path_type=Path), metavar="[FOLDER]"
)


@click.group(invoke_without_command=True, short_help="Show the main job on this machine, with a timeline.")
@click.option(
    "--keep",
    is_flag=True,
    help="Leave everything running at the end, for a day at most, and say how to use it.",
)
@click.pass_context
def demo(context: click.Context, *, keep: bool) -> None:
    """Show the main job on this machine, with a timeline.

    A real Kubernetes API server, a double of AWS, and the operator are started; a secret arrives, is rotated,
    deleted and repaired; the store fails and recovers; mistakes are explained. Takes half a minute; the first
    time, the Kubernetes programs are built first, which takes some minutes.
    """
    if context.invoked_subcommand is not None:
        return
    with _told("What the demo had started has been ended, its files are removed."):
        _play(keep=keep)


@demo.command(short_help="A new password into a kept demo's store.")
@FOLDER
def rotate(folder: Path | None) -> None:
    """Write a new password into the store of a kept demo, and watch it arrive.

    FOLDER is the demo's; not needed where only one runs.
    """
    with _told("The demo runs on."):
        from keyferry.cli.demo import kept, rotation

        click.echo(rotation.rotate(kept.the_one(folder)))


@demo.command(short_help="End a kept demo.")
@FOLDER
def stop(folder: Path | None) -> None:
    """End a kept demo and remove its files.

    FOLDER is the demo's; not needed where only one runs.
    """
    with _told("Parts of the demo may still run: stop it again."):
        from keyferry.cli.demo import kept

        one = kept.the_one(folder)
        kept.stop(one)
    click.echo(f"Stopped the demo and removed {one.folder} and {one.cluster}")


def _play(*, keep: bool) -> None:
    from keyferry.cli.demo.programs import isolate
    from keyferry.cli.demo.stage import Stage
    from keyferry.cli.demo.timeline import Timeline
    from keyferry.localcluster import StreamProgress, binaries

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show "…" must not end the demo
    timeline = Timeline(sys.stdout)
    timeline.paragraph(INTRODUCTION + (PROMISE_KEPT if keep else PROMISE))
    binaries.obtain(StreamProgress(sys.stderr))  # may take minutes, and needs the user's proxies
    isolate(os.environ)
    timeline.lines()
    timeline.begin()
    stage = Stage(timeline)
    try:
        with stage:
            _act(stage, timeline, keep=keep)
    except Exception as error:
        if stage.kept_logs is None:
            raise  # not of the programs
        raise _failure(error, stage.kept_logs) from error


def _act(stage: Stage, timeline: Timeline, *, keep: bool) -> None:
    from keyferry.cli.demo import figures, kept
    from keyferry.cli.demo.failure import DemoFailed
    from keyferry.cli.demo.story import Story

    Story(stage, timeline).play()
    table = "kubectl -n team-a get externalsecrets"
    timeline.command(table)
    timeline.block(stage.cluster.kubectl(*table.split()[1:]))
    timeline.lines()
    measured = figures.told(stage)
    if found := figures.leaks(stage, "\n".join(timeline.told)):
        raise DemoFailed("a secret value is where it must not be", details=found)
    measured += " No secret value is in its log, metrics, statuses or events."
    if keep:
        timeline.paragraph(measured)
        timeline.lines(*_how_to_go_on(stage.keep()))
        return
    if code := stage.programs.stop_operator():
        raise DemoFailed(f"the operator ended with code {code} after SIGTERM")
    timeline.paragraph(f"{measured} Ended after {timeline.elapsed_s():.0f} s.")
    timeline.lines(f"To leave it running and try it yourself: {kept.keyferry_command()} demo --keep")


def _how_to_go_on(demo: KeptDemo) -> list[str]:
    """What to do with a demo that keeps running."""
    from keyferry.cli.demo.kept import keyferry_command

    command = f"{keyferry_command()} demo"
    folder, kubeconfig = shlex.quote(demo.folder), shlex.quote(demo.kubeconfig)
    kubectl = "kubectl" if shutil.which("kubectl") else shlex.quote(demo.kubectl)
    return [
        "",
        "Everything keeps running. Point kubectl at it, look, rotate the password, end it all:",
        "",
        f"  export KUBECONFIG={kubeconfig}",
        f"  {kubectl} -n team-a get externalsecrets,secretstores,secrets",
        f"  {command} rotate {folder}",
        f"  {command} stop {folder}",
        "",
        f"Logs: {demo.folder}/operator.log, {demo.folder}/aws.log, {demo.cluster}/logs",
    ]


def _failure(error: Exception, logs: Path) -> click.ClickException:
    """The failure for people, with the logs that were kept."""
    from keyferry.errors import KeyferryError

    (logs / "traceback.txt").write_text("".join(traceback.format_exception(error)))
    if isinstance(error, click.ClickException):
        what = error.format_message()
    elif isinstance(error, KeyferryError | OSError):
        what = str(error)
    else:
        what = f"the demo met something unexpected ({type(error).__name__}): traceback.txt tells where"
    return click.ClickException(f"{what}\nAll has been ended. The logs are in {logs}")


def _told(interrupted: str) -> AbstractContextManager[None]:
    return told(what="the demo", extras="aws,local", interrupted=f"Interrupted. {interrupted}")
