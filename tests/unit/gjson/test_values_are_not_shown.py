"""A selected value may be a secret: it shows neither by itself nor in an error."""

from __future__ import annotations

import traceback

import pytest

from keyferry import gjson

CANARY = "canary-5f1d"


@pytest.mark.parametrize("path", ["secret", "nested", "nested.secret", "list", "number", "nope"])
def test_result_does_not_show_its_value(path):
    document = (
        f'{{"secret":"{CANARY}","nested":{{"secret":"{CANARY}"}},"list":["{CANARY}"],"number":5551234}}'
    )
    result = gjson.get(document, path)

    shown = f"{result!r} {result!s} {result} {[result]}"

    assert CANARY not in shown
    assert "5551234" not in shown


def test_result_has_no_attributes_beyond_its_own():
    with pytest.raises(AttributeError):
        gjson.get("{}", "a").other = 1


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("|".join(["[@this,@this]"] * 60), id="work"),
        pytest.param("[" * 100 + f"{CANARY}" + "]" * 100, id="depth"),
        pytest.param(CANARY * 1000, id="length"),
    ],
)
def test_limit_error_shows_neither_value_nor_path(path):
    with pytest.raises(gjson.GJSONLimitError) as caught:
        gjson.get(f'{{"a":"{CANARY}"}}', path)

    assert CANARY not in "".join(traceback.format_exception_only(caught.value))
    assert isinstance(caught.value, ValueError)
