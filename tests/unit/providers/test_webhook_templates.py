"""The templates of a request: what they may take, and what is said where they take more."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from keyferry.errors import KeyferryError, SpecError
from keyferry.gotemplate import StringMap
from keyferry.providers.webhook.templates import MOST_ACTIONS, Chance, check_templates, render


class _Clock:
    def now(self) -> datetime:
        return datetime(2026, 1, 5, tzinfo=UTC)

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.mark.parametrize("action", ["{{/**/}}", "{{ `a` }}", "{{ $a := 1 }}"])
def test_template_that_takes_long_to_read_is_refused(action):
    """It would be read on the event loop, for each question."""
    check_templates({"spec.body": action * (MOST_ACTIONS // 4)})
    with pytest.raises(SpecError, match=r"spec\.body: the template has more than 2000 actions"):
        check_templates({"spec.body": action * 100_000})


def test_template_of_few_but_long_actions_is_refused_too():
    with pytest.raises(SpecError, match="the template has more than 5000 tokens"):
        check_templates({"spec.body": f"{{{{ print {'1 ' * 10_000}}}}}"})


def test_what_takes_too_much_work_is_told_without_flags_that_would_not_help():
    data = {b"remoteRef": StringMap({b"key": b"a"})}
    run = Chance(_Clock(), bytes).run()

    with pytest.raises(KeyferryError) as caught:
        render("spec.body", "{{ range until 100000 }}{{ . }}{{ end }}", data, run)

    assert caught.value.hint == "Do less in the template: a request may take less than a Secret"
