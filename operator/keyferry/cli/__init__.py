"""The `keyferry` command: one file per subcommand, loaded only when it is called.

A module here is named after its subcommand and holds a click command of the same name.
"""

from __future__ import annotations

import importlib
from typing import Final

import click

from keyferry import __version__

COMMANDS: Final = {
    "run": "Run the operator.",
    "demo": "Show the main job on this machine, with a timeline.",
    "cluster": "A real control plane on this machine, for people and scripts.",
    "render": "Render ExternalSecrets from files, without a cluster.",
    "convert": "Rewrite v1beta1 manifests for v1.",
    "crds": "Print, write or check the CustomResourceDefinitions and admission policies.",
}
"""Subcommands and their one-line help, here so that `keyferry --help` loads none of them."""


class LazyGroup(click.Group):
    """A group that imports a subcommand's module when the subcommand is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All subcommands, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"keyferry.cli.{cmd_name}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"keyferry.cli.{cmd_name} has no click command {cmd_name!r}")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keyferry")
def main() -> None:
    """Bring secrets from their stores into Kubernetes Secrets, and keep them right."""
