"""`keyferry cluster`: the control plane on this machine, for people and scripts.

Progress goes to standard error; standard output holds only what the command is asked for.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path

import click

from keyferry.cli.told import told

DATA = click.option(
    "--data",
    "folder",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the control plane: kubeconfig, keys, data, logs.",
)


@click.group()
def cluster() -> None:
    """A real control plane on this machine, for people and scripts.

    etcd, kube-apiserver and kube-controller-manager, without nodes: objects are stored, checked,
    authorised and garbage-collected as in any cluster, and no Pod runs.
    """


@cluster.command()
@DATA
def start(folder: Path) -> None:
    """Start a control plane and leave it running.

    Returns when it is ready. DIR is made where it is missing and kept at the end; starting there again
    continues with its objects.
    """
    with _told("What had been started has been ended."):
        from keyferry.localcluster import LocalCluster, StreamProgress

        with LocalCluster.start(folder, progress=StreamProgress(sys.stderr)) as local:
            local.detach()
    kubectl = local.binaries / "kubectl"
    click.echo(f"export KUBECONFIG={local.kubeconfig}")
    click.echo(f"Talk to it:  {kubectl} --kubeconfig {local.kubeconfig} get namespaces", err=True)
    click.echo(f"End it:      keyferry cluster stop --data {folder}", err=True)


@cluster.command()
@DATA
def stop(folder: Path) -> None:
    """End a control plane; its data stays.

    Fine when nothing runs in DIR.
    """
    with _told("Parts of the control plane may still run: stop it again."):
        from keyferry.localcluster import detached

        stopped = detached.stop(folder)
    click.echo(f"Stopped the control plane in {folder}" if stopped else f"Nothing runs in {folder}", err=True)


@cluster.command()
def path() -> None:
    """Print the folder of the programs.

    They are etcd, kube-apiserver, kube-controller-manager and kubectl, and are built first where they are
    missing.
    """
    click.echo(_binaries())


@cluster.command()
def build() -> None:
    """Build the programs where they are missing.

    Takes minutes the first time, and nothing from then on. They come from KUBEBUILDER_ASSETS, else from a
    folder in PATH that has all of them, else from the user's cache, into which they are built.
    """
    _binaries()


def _binaries() -> Path:
    with _told("The build has been ended; the next one goes on from there."):
        from keyferry.localcluster import StreamProgress, binaries

        return binaries.obtain(StreamProgress(sys.stderr))


def _told(interrupted: str) -> AbstractContextManager[None]:
    return told(what="the control plane", extras="local", interrupted=f"Interrupted. {interrupted}")
