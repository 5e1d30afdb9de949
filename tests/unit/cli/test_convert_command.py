"""`keyferry convert` on files and folders, standard input, and what it says at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from keyferry.cli import main
from keyferry.cli.convert import convert

OLD = "apiVersion: external-secrets.io/v1beta1\nkind: SecretStore\nmetadata: {name: one}\n"
NEW = OLD.replace("v1beta1", "v1")
BY_HAND = f"{OLD}spec: {{later: 1}}\n"


def run(*arguments: str | Path, input: bytes | None = None) -> Result:  # noqa: A002 - as click names it
    return CliRunner().invoke(convert, [str(argument) for argument in arguments], input=input)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.yaml", "deep/er/b.yml", "deep/c.JSON", "notes.txt", ".git/d.yaml"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(OLD.encode())
    return tmp_path


def held(folder: Path) -> dict[str, bool]:
    """Which files are converted."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_text() == NEW for file in files}


def test_a_folder_is_converted_with_what_is_below(folder):
    result = run(folder)

    assert (result.exit_code, result.stdout) == (0, "")
    assert held(folder) == {
        "a.yaml": True,
        "deep/er/b.yml": True,
        "deep/c.JSON": True,
        "notes.txt": False,
        ".git/d.yaml": False,
    }
    assert f"{folder}/a.yaml:1: changed: SecretStore one" in result.stderr
    assert result.stderr.splitlines()[-1] == "3 manifests converted"


def test_a_file_that_is_named_may_be_called_as_it_likes(folder):
    run(folder / "notes.txt", folder / ".git/d.yaml")

    assert held(folder) == dict.fromkeys(held(folder), False) | {"notes.txt": True, ".git/d.yaml": True}


def test_a_check_writes_nothing_and_fails_while_there_is_something_to_convert(folder):
    before = held(folder)
    result = run("--check", folder)
    unchanged = held(folder)
    run(folder)
    after = run("--check", folder)

    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "3 manifests would be converted")
    assert unchanged == before
    assert (after.exit_code, after.stderr) == (0, "0 manifests would be converted\n")


def test_a_file_without_old_manifests_is_not_written(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(NEW)
    file.chmod(0o400)
    before = file.stat()
    result = run(tmp_path)

    assert result.exit_code == 0
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def test_mode_and_line_ends_of_a_file_stay(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + OLD.replace("\n", "\r\n").encode())
    file.chmod(0o640)
    run(file)

    assert file.read_bytes() == b"\xef\xbb\xbf" + NEW.replace("\n", "\r\n").encode()
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_one_and_its_file_is_converted(tmp_path):
    file, link = tmp_path / "real.txt", tmp_path / "link.yaml"
    file.write_text(OLD)
    link.symlink_to(file.name)
    run(tmp_path)

    assert (link.is_symlink(), file.read_text()) == (True, NEW)
    assert sorted(tmp_path.iterdir()) == [link, file]


def test_all_names_of_a_file_still_lead_to_it(tmp_path):
    file, other = tmp_path / "a.yaml", tmp_path / "other.txt"
    file.write_text(OLD)
    other.hardlink_to(file)
    run(tmp_path)

    assert other.read_text() == NEW
    assert other.samefile(file)


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    result = run(tmp_path)

    assert (result.exit_code, result.stderr) == (0, "0 manifests converted\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_that_may_not_be_written_is_told(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(OLD)
    file.chmod(0o400)
    result = run(tmp_path)

    assert (result.exit_code, file.read_text()) == (2, OLD)
    assert f"{file}: Permission denied" in result.stderr


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    """The limit of a file's size stands for it: the content is longer."""
    file = tmp_path / "a.yaml"
    file.write_text(OLD * 100)
    script = (
        "import resource, sys; from keyferry.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); main()"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", script, "convert", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, file.read_text() == OLD * 100) == (2, True)
    assert f"{file}: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == [file]


def test_work_for_a_person_fails_and_is_told_even_when_quiet(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(BY_HAND)
    result = run("--quiet", file)

    assert result.exit_code == 1
    told = "by hand: spec.later is no field of the present version: remove it, or see what took its place"
    assert result.stderr == f"{file}:4: {told}\n"
    assert file.read_text() == BY_HAND.replace("v1beta1", "v1")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"\xff\xfe", "it is not UTF-8", id="other-encoding"),
        pytest.param(None, "No such file or directory", id="missing"),
    ],
)
def test_a_file_that_cannot_be_read_fails_and_the_others_are_converted(tmp_path, content, why):
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    if content is not None:
        bad.write_bytes(content)
    good.write_text(OLD)
    result = run(bad, good)

    assert result.exit_code == 2
    assert f"{bad}: {why}" in result.stderr
    assert result.stderr.splitlines()[-1] == "1 manifest converted; 1 file not read or not written"
    assert good.read_text() == NEW


def test_standard_input_comes_out_converted_and_nothing_else_does():
    result = run("-", input=OLD.replace("\n", "\r\n").encode())

    assert result.stdout_bytes == NEW.replace("\n", "\r\n").encode()
    assert result.stderr == "<stdin>:1: changed: SecretStore one\n1 manifest converted\n"
    assert result.exit_code == 0


def test_a_check_of_standard_input_prints_no_manifest():
    result = run("--check", "-", input=OLD.encode())

    assert (result.exit_code, result.stdout) == (1, "")


def test_standard_input_that_is_no_text_fails():
    result = run("-", input=b"\xff\xfe")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "-: it is not UTF-8" in result.stderr


def test_the_summary_tells_what_was_not_converted(tmp_path):
    (tmp_path / "values.yaml").write_text(f"extra:\n- {{{OLD.splitlines()[0]}, kind: SecretStore}}\n")
    (tmp_path / "template.yaml").write_text(f"{{{{ if .x }}}}\n{OLD}{{{{ end }}}}\n")
    first = run(tmp_path)
    second = run("--embedded", tmp_path)

    assert first.stderr.splitlines()[-1] == (
        "1 manifest converted; 1 mention left; --embedded converts those of manifests; "
        "1 template read line by line, without a look at the fields"
    )
    assert second.stderr.splitlines()[-1] == "1 manifest converted"
    assert first.exit_code == second.exit_code == 0


def test_a_path_is_needed():
    assert run().exit_code == 2


def test_help_tells_the_exit_codes_and_examples():
    result = CliRunner().invoke(main, ["convert", "--help"])

    assert "Exit codes:\n    0  all is converted" in result.output
    assert "helm template app | keyferry convert - | kubectl apply -f -" in result.output
