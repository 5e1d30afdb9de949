"""For cryptography in templates: renders to run functions in, and keys, certificates and archives made elsewhere.

`keystores.json` was made with Go, OpenSSL and keytool; its keys have never guarded anything.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keyferry.gotemplate import LimitError, StringMap, TemplateError, parse
from keyferry.gotemplate.budget import Limits, Run

NOW_NS = 1_767_225_599_999_999_999
"""The last moment of 2025."""


@pytest.fixture
def new_run() -> Callable[..., Run]:
    def make(*, allows_slow: bool = True, limits: Limits | None = None) -> Run:
        return Run(
            limits or Limits(),
            now_ns=NOW_NS,
            monotonic=time.monotonic,
            random_bytes=os.urandom,
            allows_slow=allows_slow,
        )

    return make


@pytest.fixture
def run(new_run: Callable[..., Run]) -> Run:
    return new_run()


@pytest.fixture(scope="session")
def keystores() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "keystores.json").read_text())


@pytest.fixture
def ends_soon() -> Callable[..., None]:
    """Asserts that work takes little processor time: at best of six, because others use the machine too."""

    def ends_soon(work: Callable[[], object], seconds: float = 0.3) -> None:
        took = []
        while len(took) < 6 and (not took or took[-1] >= seconds):
            began = time.process_time()
            work()
            took.append(time.process_time() - began)

        assert min(took) < seconds

    return ends_soon


DATA = StringMap({b"x": b"1", b"y": b"<b>"})


def rendered(text: str) -> bytes:
    """The output of a template; of an action, where the text is no more."""
    run = Run(Limits(), now_ns=0, monotonic=time.monotonic, random_bytes=bytes)
    return parse("t", text if "{{" in text else "{{ " + text + " }}").render(DATA, run)


@pytest.fixture(name="rendered")
def its_output() -> Callable[[str], bytes]:
    return rendered


@pytest.fixture
def fails_with() -> Callable[[str, str], None]:
    """Asserts that a template fails with a text that ends so."""

    def fails_with(text: str, detail: str) -> None:
        with pytest.raises(TemplateError) as caught:
            rendered(text)

        assert caught.value.detail.endswith(detail)

    return fails_with


@pytest.fixture
def asks_too_much() -> Callable[[str], None]:
    """Asserts that a template ends soon, because it asks for too much or nests too deeply."""

    def asks_too_much(text: str) -> None:
        started = time.process_time()
        with pytest.raises(TemplateError) as caught:
            rendered(text)

        assert isinstance(caught.value, LimitError) or "nests too deeply" in caught.value.detail
        assert time.process_time() - started < 3

    return asks_too_much
