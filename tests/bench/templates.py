"""Templates: how long one render takes, beside Go in the same run.

    python tests/bench/templates.py [--times 2000] [--json FILE]

Go renders as the reference operator does, which parses the template anew each time; and, for comparison, with the
template parsed once. Ours comes from the cache of parsed templates. Both get the Secret's values as bytes by name.
The best of several rounds counts, Go's and ours by turns. Machines differ and are noisy: the ratio is what counts.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyferry.gotemplate import Limits, Run, StringMap, parse, parse_cached
from keyferry.localcluster import StreamProgress
from keyferry.localcluster.toolchain import obtain_go

ORACLE = Path(__file__).parents[1] / "oracle" / "gotemplate"
GO_AT_LEAST = "1.26"
ROUNDS = 5

SMALL = "{{ .user }}:{{ .password }}"
DOCKER = (
    '{"auths":{"{{ .registry }}":{"username":"{{ .user }}","password":"{{ .password }}",'
    '"auth":"{{ printf "%s:%s" .user .password | b64enc }}"}}}'
)
CONFIG = """\
{{- $hosts := splitList "," .hosts -}}
{{- $options := fromJson .options -}}
# written by the operator
server:
  name: {{ .name | default "server" | quote }}
  {{- if eq .environment "production" }}
  log: warning
  {{- else if eq .environment "staging" }}
  log: info
  {{- else }}
  log: debug
  {{- end }}
database:
  url: postgres://{{ .user }}:{{ .password | urlquery }}@{{ first $hosts }}:{{ .port }}/{{ .database }}
  pool: {{ .pool | atoi | add 2 }}
  hosts:
{{- range $number, $host := $hosts }}
    - name: {{ $host | trim | upper }}
      weight: {{ add1 $number }}
      {{- if hasPrefix "db" $host }}
      role: primary
      {{- end }}
{{- end }}
options:
{{- range $key, $value := $options }}
  {{ $key | snakecase }}: {{ $value | toString | quote }}
{{- end }}
tls: |
{{ .certificate | indent 2 }}
token: {{ printf "%s-%s" .name .token | b64enc }}
checksum: {{ .password | sha256sum | trunc 16 }}
"""
VALUES = {
    "name": b"shop",
    "environment": b"production",
    "user": b"shop_app",
    "password": b"not a secret & so on",
    "registry": b"registry.example.com",
    "port": b"5432",
    "database": b"shop",
    "pool": b"8",
    "hosts": b"db1.example.com,db2.example.com,replica.example.com",
    "options": b'{"maxConnections": 100, "idleTimeout": "30s", "readOnly": false, "applicationName": "shop"}',
    "certificate": b"-----BEGIN CERTIFICATE-----\n" + b"QUJD" * 16 + b"\n-----END CERTIFICATE-----",
    "token": b"0123456789abcdef0123456789abcdef",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A template to measure.

    Args:
        wanted: how many times Go's render with parsing ours may take at most.
    """

    name: str
    text: str
    wanted: float


SUBJECTS = (
    Subject("small", SMALL, 1.0),
    Subject("docker config", DOCKER, 1.0),
    Subject("config, 36 lines", CONFIG, 2.0),
)


@dataclass(frozen=True, slots=True)
class Result:
    """Microseconds of one render.

    Args:
        go: parsed anew, as the reference operator does.
        go_execute: parsed once.
        ours: parsed once.
        ours_parse: of reading the template the first time.
    """

    go: float
    go_execute: float
    ours: float
    ours_parse: float


def build_oracle(folder: Path) -> Path:
    """The Go side, built from source."""
    go = obtain_go(GO_AT_LEAST, StreamProgress(sys.stderr))
    program = folder / "oracle"
    subprocess.run(
        [go.command, "build", "-o", str(program), "."],
        cwd=ORACLE,
        env=os.environ | go.environment(folder),
        check=True,
    )
    return program


def ask(program: Path, command: str, subject: Subject, times: int = 0) -> Any:
    """What the Go side answers."""
    members = [{"key": in_base64(key.encode()), "value": in_base64(value)} for key, value in VALUES.items()]
    question = {
        "name": in_base64(subject.name.encode()),
        "text": in_base64(subject.text.encode()),
        "times": times,
        "data": {"stringMap": members},
    }
    done = subprocess.run(
        [str(program), command],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"TZ": "UTC"},
    )
    return json.loads(done.stdout)


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def go_once(program: Path, subject: Subject, times: int) -> tuple[float, float]:
    """Go's render with parsing, and without."""
    answer = ask(program, "bench", subject, times)
    return answer["render"] / 1000, answer["execute"] / 1000


def render(subject: Subject, limits: Limits, values: dict[bytes, bytes]) -> bytes:
    """Our render, with the look into the cache."""
    run = Run(limits, now_ns=time.time_ns(), monotonic=time.monotonic, random_bytes=os.urandom)
    return parse_cached(subject.name, subject.text).render(StringMap(values), run)


def ours_once(subject: Subject, times: int) -> float:
    """Our render."""
    limits = Limits()
    values = {key.encode(): value for key, value in VALUES.items()}
    begin = time.perf_counter()
    for _ in range(times):
        render(subject, limits, values)
    return (time.perf_counter() - begin) / times * 1e6


def parse_once(subject: Subject, times: int) -> float:
    """Reading a template that is not in the cache."""
    begin = time.perf_counter()
    for _ in range(times):
        parse(subject.name, subject.text)
    return (time.perf_counter() - begin) / times * 1e6


def check_equal(program: Path, subject: Subject) -> None:
    """Else the comparison would say nothing."""
    values = {key.encode(): value for key, value in VALUES.items()}
    theirs = base64.b64decode(ask(program, "render", subject)["output"])
    if theirs != render(subject, Limits(), values):
        sys.exit(f"{subject.name}: Go and ours give different outputs")


def measure(program: Path, subject: Subject, times: int) -> Result:
    """Go's and ours by turns; the best of each."""
    check_equal(program, subject)
    theirs, mine, read = [], [], []
    for _ in range(ROUNDS):
        theirs.append(go_once(program, subject, times // ROUNDS))
        mine.append(ours_once(subject, times))
        read.append(parse_once(subject, 50))
    return Result(min(go for go, _ in theirs), min(bare for _, bare in theirs), min(mine), min(read))


def table(results: dict[Subject, Result]) -> str:
    """What was reached, beside what is wanted."""
    lines = [
        f"{'µs per render':18}{'Go':>9}{'Go, parsed':>12}{'ours':>9}{'first time':>12}{'ours/Go':>9}{'wanted':>9}{'ours/parsed':>13}"
    ]
    for subject, one in results.items():
        ratio, bare = one.ours / one.go, one.ours / one.go_execute
        lines.append(
            f"{subject.name:18}{one.go:9.1f}{one.go_execute:12.1f}{one.ours:9.1f}{one.ours_parse:12.1f}"
            f"{ratio:9.2f}{f'≤ {subject.wanted:g}':>9}{bare:13.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the numbers where a file is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=2000, help="renders in a round")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="templates-") as folder:
        program = build_oracle(Path(folder))
        results = {subject: measure(program, subject, options.times) for subject in SUBJECTS}
    sys.stdout.write(table(results) + "\n")
    if options.json:
        numbers = {
            subject.name: {name: getattr(one, name) for name in Result.__slots__}
            for subject, one in results.items()
        }
        options.json.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
