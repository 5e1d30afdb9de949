"""The leak detector bites on every form of a value, and only on values."""

import base64
import json
import random
import string
import urllib.parse

import pytest

from keyferry.testing.leaks import PIECE, Canaries, LeakDetector, canary


@pytest.fixture
def canaries():
    return Canaries()


@pytest.fixture
def detector(canaries):
    return LeakDetector(canaries)


FORMS = {
    "plain text": lambda value: value,
    "upper case": str.upper,
    "lower case": str.lower,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64url without padding": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    "base64 of base64": lambda value: base64.b64encode(base64.b64encode(value.encode())).decode(),
    "base64 within a larger text": lambda value: base64.b64encode(f'{{"a":"{value}"}}'.encode()).decode(),
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "hex with colons": lambda value: value.encode().hex(":"),
    "percent-encoded where needed": urllib.parse.quote,
    "percent-encoded throughout": lambda value: "".join(f"%{ord(c):02x}" for c in value),
    "JSON": json.dumps,
    "JSON escapes throughout": lambda value: "".join(f"\\u{ord(c):04x}" for c in value),
    "repr of bytes": lambda value: repr(value.encode()),
    "backslash x escapes": lambda value: "".join(f"\\x{ord(c):02x}" for c in value),
    "an object of the API server": lambda value: {"data": {"k": base64.b64encode(value.encode()).decode()}},
    "a list of events": lambda value: [{"message": f"could not use {value}"}],
    "bytes with rubbish around": lambda value: b"\xff\xfe" + value.encode() + b"\xff",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_it_finds_a_value_in_this_form(detector, canaries, form):
    value = canaries.canary("db")

    found = detector.look("operator log", form(value))

    assert found
    assert {"operator log"} == {one.place for one in found}


@pytest.mark.parametrize("lead", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize(
    "encode", [str, lambda t: base64.b64encode(t.encode()).decode()], ids=["plain", "base64"]
)
def test_it_finds_every_piece_of_the_least_size_wherever_it_stands(canaries, encode, lead):
    random_part = canaries.canary("db")[-32:]

    for start in range(len(random_part) - PIECE + 1):
        piece = random_part[start : start + PIECE]
        found = LeakDetector(canaries).look("log", encode(f"{lead}{piece} and more"))

        assert [one.canary for one in found] == ["db"], (start, lead)


def test_a_piece_below_the_least_size_is_none(detector, canaries):
    random_part = canaries.canary("db")[-32:]

    assert detector.look("log", f"xx {random_part[3 : 3 + PIECE - 1]} yy") == []


def test_a_value_made_by_another_process_of_the_run_is_found_by_the_marker(canaries):
    elsewhere = Canaries(canaries.marker).canary("made elsewhere")

    found = LeakDetector(canaries).look("log", elsewhere)

    assert [one.canary for one in found] == [""]


def test_canaries_are_the_same_within_a_run_and_others_in_the_next():
    first, again, next_run = Canaries("M" * 20), Canaries("M" * 20), Canaries()

    assert first.canary("a") == again.canary("a")
    assert first.canary("a") != first.canary("b")
    assert first.canary("a") != next_run.canary("a")
    assert canary("a") == canary("a")


def test_a_finding_tells_place_line_name_and_form_and_not_the_value(detector, canaries):
    value = canaries.canary("db")
    text = f"one\ntwo {base64.b64encode(value.encode()).decode()}\nthree {value}"

    detector.look("operator log", text)

    told = [str(one) for one in detector.findings]
    assert "operator log, line 2: canary 'db' as base64" in told
    assert "operator log, line 3: canary 'db' as plain text" in told
    assert not any(value[at : at + PIECE] in line for line in told for at in range(len(value) - PIECE))


def test_check_fails_with_all_findings_and_passes_without(detector, canaries):
    detector.check()
    detector.look("status", {"message": canaries.canary("db")})
    detector.look("event", canaries.canary("api"))

    with pytest.raises(AssertionError, match=r"(?s)status, line 1.*event, line 1") as caught:
        detector.check()
    assert canaries.canary("db") not in str(caught.value)


def test_a_file_is_read_and_a_missing_one_holds_nothing(detector, canaries, tmp_path):
    (tmp_path / "operator.log").write_text(f"started\nvalue={canaries.canary('db')}\n")

    assert len(detector.look_at_file(tmp_path / "operator.log")) == 2  # the marker and the value
    assert detector.look_at_file(tmp_path / "none.log") == []


def test_an_exception_is_searched_with_all_that_it_came_from(detector, canaries):
    try:
        try:
            raise ValueError(canaries.canary("cause"))
        except ValueError as error:
            error.add_note(f"note {canaries.canary('note')}")
            raise RuntimeError("harmless") from error
    except RuntimeError as error:
        group = ExceptionGroup("several", [error])

    found = {one.canary for one in detector.look_at_error("errors", group)}

    assert {"cause", "note"} <= found


def test_names_added_after_the_first_look_are_found_too(detector, canaries):
    canaries.canary("early")
    detector.look("log", "nothing")

    assert detector.look("log", canaries.canary("late")[-32:])


def test_it_does_not_cry_wolf_over_texts_that_hold_no_value(detector, canaries):
    for name in range(200):
        canaries.canary(f"name-{name}")
    chance = random.Random(7)
    alphabet = string.ascii_letters + string.digits + "+/=-_ \n"
    noise = "".join(chance.choices(alphabet, k=400_000))
    hexadecimal = chance.randbytes(100_000).hex()
    encoded = base64.b64encode(chance.randbytes(200_000)).decode()

    for text in (noise, hexadecimal, encoded, "canary name-1 secret %41%42 \\u0041\\u0042 %zz"):
        assert detector.look("log", text) == []


def test_a_value_of_another_run_is_none_of_ours(detector):
    assert detector.look("log", Canaries().canary("db")) == []
