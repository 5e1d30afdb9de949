"""The goldens: what Go makes of the examples, as the files that are compared with ours where there is no Go.

    python -m tests.oracle.gotemplate.goldens PROGRAM

writes them anew, with the built oracle. Where ours is meant to differ, a golden has what ours makes of it too.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keyferry.gotemplate.values import ByteSlice, Int64, Ints, StringMap, Strings, Uint8

from .cases import Answer, Case, describe, ours
from .conftest import Oracle
from .differences import explained
from .spec_control import CONTROL
from .spec_functions import FUNCTIONS
from .spec_language import LANGUAGE
from .vocabulary import MATERIAL

FOLDER = MATERIAL.parent
TEXTS = StringMap(
    {
        b"user": b"alice",
        b"token": b"s3 cr&t",
        b"empty": b"",
        b"a-b": b"dash",
        b"_x": b"underscore",
        "é".encode(): "ü".encode(),
        b"bin": b"a\xff\x00\n",
        b"tls.crt": b"-----BEGIN CERTIFICATE-----",
        b"multi": b"a: 1\nb: two\n",
        b"csv": b"ann,bob,,zoe",
        b"number": b"42",
        b"registry": b"registry.example.com",
        b"url": b"https://u:p@example.com:8443/path?q=1",
        b"json": b'{"port":5432,"name":"db","list":[1,"x",null],"big":10000000,"on":true}',
    }
)
VALUES = {
    b"name": b"demo",
    b"count": 3,
    b"big": Int64(9007199254740993),
    b"ratio": 1.5,
    b"yes": True,
    b"no": False,
    b"nothing": None,
    b"byte": Uint8(200),
    b"raw": ByteSlice(b"hi\xff"),
    b"list": [1, b"a", 2.5, None, True, [b"x"], {b"k": b"v"}],
    b"names": Strings([b"x", b"y"]),
    b"ints": Ints([3, 1, 2]),
    b"labels": StringMap({b"app": b"web", b"tier": b"front"}),
    b"inner": {b"key": b"value", b"deep": {b"key": b"deeper", b"n": 1}},
}


def read_text(text: str | dict[str, str]) -> bytes:
    return text.encode() if isinstance(text, str) else base64.b64decode(text["base64"])


def write_text(text: bytes) -> str | dict[str, str]:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(text).decode()}


def data() -> dict[str, Any]:
    """The examples' data, by name."""
    material = json.loads(MATERIAL.read_text())["stringMap"]
    return {
        "texts": TEXTS,
        "values": VALUES,
        "nothing": None,
        "text": b"just text",
        "list": [1, b"two", None],
        "material": StringMap((one["key"].encode(), read_text(one["value"])) for one in material),
    }


def topics() -> Iterator[tuple[str, list[tuple[str, str, Case]]]]:
    """Of each topic its cases, each with its template's text and the name of its data."""
    by_name = data()
    for topic, examples in (LANGUAGE | CONTROL | FUNCTIONS).items():
        cases = []
        for example in examples:
            text, name = example if isinstance(example, tuple) else (example, "texts")
            cases.append((text, name, Case(text.encode(), by_name[name])))
        yield topic, cases


def golden(text: str, name: str, case: Case, theirs: Answer, mine: Answer) -> dict[str, Any]:
    """What a file says of one example."""
    entry: dict[str, Any] = {"template": text, "data": name, **outcome(theirs)}
    if theirs != mine and (why := explained(case, theirs, mine)):
        entry |= {"why": why, "ours": outcome(mine)}
    return entry


def outcome(answer: Answer) -> dict[str, Any]:
    if answer.stage == "done":
        return {"output": write_text(answer.output)}
    return {"error": write_text(answer.error)}


def contents(oracle: Oracle) -> dict[Path, str]:
    """The files that there should be."""
    files = {}
    by_name = data()
    for topic, cases in topics():
        answers = oracle.answers(case for _, _, case in cases)
        entries = [
            golden(text, name, case, theirs, ours(case))
            for (text, name, case), theirs in zip(cases, answers, strict=True)
        ]
        used = sorted({name for _, name, _ in cases} - {"material"})
        described = {name: describe(by_name[name], write_text) for name in used}
        files[FOLDER / f"{topic}.json"] = (
            json.dumps({"data": described, "cases": entries}, ensure_ascii=False, indent=1) + "\n"
        )
    return files


def main() -> None:
    for path, text in contents(Oracle(Path(sys.argv[1]))).items():
        path.write_text(text)


if __name__ == "__main__":
    main()
