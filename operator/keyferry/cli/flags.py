"""Flags as the reference operator's manifests write them: `--flag`, `--flag=true`, `--flag=false`, Go durations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from keyferry.core.origins import TrustedVaults
from keyferry.duration import parse_go_duration

F = TypeVar("F", bound=Callable[..., Any])

_TRUE: Final = frozenset({"1", "t", "true"})
_FALSE: Final = frozenset({"0", "f", "false"})


class GoBool(click.ParamType[bool]):
    """A boolean as Go's flag package reads it."""

    name = "true|false"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """See the base class."""
        if isinstance(value, bool):
            return value
        text = str(value).lower()
        if text not in _TRUE | _FALSE:
            self.fail(f"{value!r} is neither true nor false", param, ctx)
        return text in _TRUE


class GoDuration(click.ParamType[float]):
    """A Go duration, given to the command in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See the base class."""
        if isinstance(value, int | float):
            return float(value)
        try:
            return parse_go_duration(str(value)).total_seconds()
        except ValueError as error:
            self.fail(f"{value!r} is {error}", param, ctx)


class ListenAddress(click.ParamType[tuple[str, int] | None]):
    """Where to listen: ":8080", "127.0.0.1:8080", or "0" for nowhere."""

    name = "[host]:port"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int] | None:
        """See the base class."""
        if value is None or isinstance(value, tuple):
            return value
        if str(value) == "0":
            return None
        host, colon, port = str(value).rpartition(":")
        if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            self.fail(f"{value!r} is no address such as :8080", param, ctx)
        return host.strip("[]"), int(port)


class VaultAddresses(click.ParamType[TrustedVaults]):
    """Addresses of Vaults, with commas between them."""

    name = "URL,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TrustedVaults:
        """See the base class."""
        if isinstance(value, TrustedVaults):
            return value
        try:
            return TrustedVaults(text for text in str(value).split(",") if text.strip())
        except ValueError as error:
            self.fail(str(error), param, ctx)


def go_flag(name: str, *, default: bool, text: str, hidden: bool = False) -> Callable[[F], F]:
    """A boolean flag that takes Go's forms."""
    return click.option(
        name,
        type=GoBool(),
        is_flag=False,
        flag_value="true",
        default=default,
        show_default="true" if default else "false",
        help=text,
        hidden=hidden,
    )
