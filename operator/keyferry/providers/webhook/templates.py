"""The templates of a request: checked before anybody asks, rendered for each question. Tenants write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from keyferry.api.providers.webhook import WebhookRequest
from keyferry.clock import Clock
from keyferry.core.template_error import OverBudgetError, Place, told
from keyferry.errors import BACKOFF, KeyferryError, RenderError, SpecError
from keyferry.gotemplate import (
    ExecError,
    Limits,
    Run,
    SlowFunction,
    StringMap,
    TemplateError,
    parse_cached,
)

LIMITS: Final = Limits(
    steps=20_000,
    output_bytes=1 << 20,
    memory_bytes=8 << 20,
    value_bytes=2 << 20,
    seconds=1.0,
    tokens=5_000,
    crypto_units=0,
)
"""Less than for a Secret: requests are made on the event loop, once for each question."""
MOST_ACTIONS: Final = 2_000
"""Of a template: comments are no tokens, and to read a megabyte of them takes a tenth of a second each time."""

Data = Mapping[bytes, StringMap]
"""What the templates of a request can use: remoteRef, and the Secrets by their names in the manifest."""

_NO_VALUE: Final = b"<no value>"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Chance:
    """What templates get from outside.

    Args:
        clock: the time that they can tell.
        random_bytes: cryptographically strong random bytes.
    """

    clock: Clock
    random_bytes: Callable[[int], bytes]

    def run(self) -> Run:
        """The budget of one request's templates."""
        passed = self.clock.now() - _EPOCH
        microseconds = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
        return Run(
            LIMITS,
            now_ns=microseconds * 1_000,
            monotonic=self.clock.monotonic,
            random_bytes=self.random_bytes,
            allows_slow=False,
        )


def templates_of(spec: WebhookRequest, path: str, *, in_result: bool) -> dict[str, str]:
    """All templates of a request by their fields.

    Args:
        path: of the block that holds it.
        in_result: whether the JSONPath is a template too: a store's is, a generator's is not.
    """
    found = {f"{path}.url": spec.url, f"{path}.body": spec.body}
    found |= {f"{path}.headers.{name}": value for name, value in spec.headers.items()}
    if in_result:
        found[f"{path}.result.jsonPath"] = spec.result.json_path
    return found


def check_templates(templates: Mapping[str, str]) -> None:
    """Check that each is a template.

    Raises:
        SpecError: one is none; the message has field, line and cause.
    """
    for field, text in templates.items():
        if text.count("{{") > MOST_ACTIONS:
            raise SpecError(f"{field}: the template has more than {MOST_ACTIONS} actions")
        try:
            parse_cached(field, text, missing_key_error=False, limits=LIMITS)
        except TemplateError as error:
            failure = told(Place(field), error, ())
            raise SpecError(failure.message, hint=failure.hint) from None


def render(field: str, text: str, data: Data, run: Run) -> bytes:
    """What a template makes of the data.

    A key that is not there is no value, as with the established operator, so that templates can ask for it; but
    what prints one fails: it would be sent as the text "<no value>".

    Args:
        field: names the template in errors.

    Raises:
        KeyferryError: it fails; the message has field, line, column and cause, never a value.
    """
    if "{{" not in text:
        return text.encode()
    try:
        rendered = parse_cached(field, text, missing_key_error=False, limits=LIMITS).render(dict(data), run)
        if _NO_VALUE in rendered:
            parse_cached(field, text, limits=LIMITS).render(dict(data), run)
    except TemplateError as error:
        failure = _told(field, error, data)
    except SlowFunction:
        failure = RenderError(f"{field}: a function in it takes too long for a request")
    else:
        return rendered
    # Raised here and not above: the engine's frames hold the values.
    raise failure


def _told(field: str, error: TemplateError, data: Data) -> KeyferryError:
    names = [name.decode() for name in data]
    if isinstance(error, ExecError) and error.missing_key == "remoteRef":
        failure: KeyferryError = RenderError(
            f"{field}, line {error.line}: there is no remoteRef: a generator is asked for nothing in particular"
        )
    else:
        failure = told(Place(field), error, names)
    if isinstance(failure, OverBudgetError):
        failure.hint = "Do less in the template: a request may take less than a Secret"
    failure.retry = BACKOFF  # a generator's Secret may change without anybody telling
    return failure
