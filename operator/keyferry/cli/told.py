"""How commands that start programs end early, by failures, Ctrl-C and signals: told in a line, no traceback."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import click

INTERRUPTED: Final = 128 + signal.SIGINT
"""Exit code of a program that Ctrl-C ended: 128 and the signal's number."""

ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end us: by a supervisor, by closing the terminal."""


@contextmanager
def told(*, what: str, extras: str, interrupted: str) -> Iterator[None]:
    """Around a command: signals end it as Ctrl-C does, so that what it has started is ended before it is.

    Args:
        what: needs the packages.
        extras: of ours that bring them.
        interrupted: said after Ctrl-C.
    """
    from keyferry.errors import KeyferryError

    # A signal that is ignored, as after nohup, stays so.
    ending = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _end) for number in ending}
    try:
        yield
    except KeyferryError as error:
        raise click.ClickException(str(error)) from error
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{what} needs the Python package {error.name}: install keyferry[{extras}]"
        ) from error
    except KeyboardInterrupt:
        click.echo(f"\n{interrupted}", err=True)
        raise SystemExit(INTERRUPTED) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: object) -> NoReturn:
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)  # a second one must not break off the tidying-up
    raise SystemExit(128 + number)
