"""Steps of a reconcile: each failure is told with the contract's short words for what could not be done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from keyferry.core import summarize
from keyferry.core.desired import ImmutableError, OwnedByAnotherError
from keyferry.errors import KeyferryError, OwnershipError
from keyferry.reconcile.stores import Unsettled


class StepError(Exception):
    """A step failed; `what` is the contract's short message for it."""

    def __init__(self, what: str, error: KeyferryError) -> None:
        super().__init__(what)
        self.what = what
        self.error = error


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """What is done inside is this step: its failures become a `StepError` with what could not be done.

    Raises:
        Unsettled: as it is: nothing has failed yet.
        StepError: for every other failure of the tree.
    """
    try:
        yield
    except asyncio.CancelledError as stopped:
        stopped.add_note(what)  # it becomes the cause of the deadline's TimeoutError
        raise
    except Unsettled:
        raise
    except ImmutableError as error:
        raise StepError(summarize.FAILED_IMMUTABLE, error) from error
    except OwnedByAnotherError as error:
        raise StepError(summarize.FAILED_OWNED, error) from error
    except OwnershipError as error:
        deleting = what == summarize.FAILED_DELETE  # nobody wants to own what is to go
        raise StepError(what if deleting else summarize.FAILED_OWNERSHIP, error) from error
    except KeyferryError as error:
        raise StepError(what, error) from error
