"""`keyferry convert`: manifests of version v1beta1, rewritten for v1 where they are.

`text` decides what a text becomes, by its structure (`tree`) or, where it has none, by its lines (`lines`);
this file reads and tells, and writes through `files`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from keyferry.cli.convert.files import is_readable_as_file, rewrite
from keyferry.cli.convert.findings import BY_HAND, CHANGED, LEFT
from keyferry.cli.convert.text import Converted, convert_text

ENDINGS: Final = (".yaml", ".yml", ".json")
STDIN: Final = "-"

DONE: Final = 0
TO_DO: Final = 1
FAILED: Final = 2

UNREADABLE: Final = "unreadable"
TEMPLATES: Final = "templates"


@click.command(
    short_help="Rewrite v1beta1 manifests for v1.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a manifest would change.")
@click.option(
    "--embedded",
    is_flag=True,
    help="Convert manifests inside other objects too: in Helm values, Flux health checks, ConfigMaps.",
)
@click.option("--quiet", "-q", is_flag=True, help="Tell only what has to be done by hand, and failures.")
def convert(*, paths: Sequence[str], check: bool, embedded: bool, quiet: bool) -> None:
    """Rewrite manifests of external-secrets.io/v1beta1 for external-secrets.io/v1, where they are.

    A PATH is a file, a folder (all *.yaml, *.yml and *.json files in it and below, but not in folders whose
    name starts with a dot), or - for standard input, which comes out converted on standard output.

    Only the apiVersion of ExternalSecrets, SecretStores, ClusterSecretStores, ClusterExternalSecrets and Lists
    of them changes; comments, order, quotes, indentation and line ends stay as they are. Templates that are no
    YAML, such as Helm's, are read line by line. Fields that v1 does not have, and other places that name the
    old version, are told with file and line.

    \b
    Exit codes:
      0  all is converted, or there was nothing to convert
      1  something is left to do: by hand, or (with --check) by this command
      2  a file cannot be read or written; the others are converted

    \b
    Examples:
      keyferry convert --check .                  what would change, in CI too
      keyferry convert deploy/ extra.yaml         convert a folder and a file
      helm template app | keyferry convert - | kubectl apply -f -
    """  # noqa: D301 - what click reads is the character
    counted: Counter[str] = Counter()
    for path in paths:
        if path == STDIN:
            _filter(counted, check=check, embedded=embedded, quiet=quiet)
            continue
        for file in _files(Path(path), counted):
            _file(file, counted, check=check, embedded=embedded, quiet=quiet)
    if not quiet:
        click.echo(_summary(counted, check=check), err=True)
    raise SystemExit(_exit_code(counted, check=check))


def _files(path: Path, counted: Counter[str]) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return

    def unreadable(error: OSError) -> None:
        _fail(Path(error.filename or path), error.strerror or str(error), counted)

    for folder, below, files in os.walk(path, onerror=unreadable):
        below[:] = sorted(name for name in below if not name.startswith("."))
        manifests = (Path(folder, name) for name in sorted(files) if name.lower().endswith(ENDINGS))
        yield from filter(is_readable_as_file, manifests)


def _file(file: Path, counted: Counter[str], *, check: bool, embedded: bool, quiet: bool) -> None:
    try:
        before = file.read_bytes()
        converted = convert_text(before.decode(), embedded=embedded)
        after = converted.text.encode()
        if after != before and not check:
            rewrite(file, after)
    except UnicodeDecodeError:
        _fail(file, "it is not UTF-8", counted)
        return
    except OSError as error:
        _fail(file, error.strerror or str(error), counted)
        return
    _tell(str(file), converted, counted, quiet=quiet)


def _filter(counted: Counter[str], *, check: bool, embedded: bool, quiet: bool) -> None:
    before = sys.stdin.buffer.read()
    try:
        converted = convert_text(before.decode(), embedded=embedded)
    except UnicodeDecodeError:
        _fail(Path(STDIN), "it is not UTF-8", counted)
        return
    if not check:
        click.echo(converted.text.encode(), nl=False)
    _tell("<stdin>", converted, counted, quiet=quiet)


def _fail(file: Path, why: str, counted: Counter[str]) -> None:
    counted[UNREADABLE] += 1
    click.echo(f"{file}: {why}", err=True)


def _tell(file: str, converted: Converted, counted: Counter[str], *, quiet: bool) -> None:
    for finding in converted.findings:
        counted[finding.sort] += 1
        if not quiet or finding.sort == BY_HAND:
            click.echo(f"{file}:{finding.line}: {finding.sort}: {finding.text}", err=True)
    if converted.by_lines:
        counted[TEMPLATES] += 1


def _summary(counted: Counter[str], *, check: bool) -> str:
    done = "would be converted" if check else "converted"
    parts = [f"{_number(counted[CHANGED], 'manifest')} {done}"]
    if counted[BY_HAND]:
        parts.append(f"{_number(counted[BY_HAND], 'thing')} to do by hand")
    if counted[LEFT]:
        parts.append(f"{_number(counted[LEFT], 'mention')} left; --embedded converts those of manifests")
    if counted[TEMPLATES]:
        parts.append(
            f"{_number(counted[TEMPLATES], 'template')} read line by line, without a look at the fields"
        )
    if counted[UNREADABLE]:
        parts.append(f"{_number(counted[UNREADABLE], 'file')} not read or not written")
    return "; ".join(parts)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _exit_code(counted: Counter[str], *, check: bool) -> int:
    if counted[UNREADABLE]:
        return FAILED
    return TO_DO if counted[BY_HAND] or (check and counted[CHANGED]) else DONE
