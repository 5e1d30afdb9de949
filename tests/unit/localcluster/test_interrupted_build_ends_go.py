"""Ctrl-C and signals during the build end Go and its compilers too, from every command that builds."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from keyferry.testing.eventually import eventually

GO = """
case "$1" in
env) [ "$2" = GOVERSION ] && echo go1.99.0 || printf '%s\\n%s\\n' "$HOME/gocache" "$HOME/modules" ;;
list) shift $(($# - 1)); printf 'stale a/b\\nstale %s\\n' "$1" ;;
build) trap 'exit 1' INT; sh -c 'echo $PPID $$ > "$HOME/building"; exec sleep 1000' ;;
esac
"""
"""Stands for Go: runs a compiler for ever, and looks for an interrupt after it."""

COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may ignore these
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from keyferry.cli import main
main(sys.argv[1:])
"""
ENDED = "Interrupted. The build has been ended; the next one goes on from there."


@pytest.fixture
def building(tmp_path, cache, script, monkeypatch):
    """Begins a command of keyferry, and waits until Go builds: the command's process, Go's and a compiler's."""
    script(tmp_path / "go" / "go", GO)
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    path = os.pathsep.join([str(tmp_path / "go"), "/usr/bin", "/bin"])
    environment = {"HOME": str(home), "PATH": path, "TMPDIR": str(tmp_path)}
    begun = []

    def begin(*arguments):
        command = [sys.executable, "-c", COMMAND, *(part.format(folder=tmp_path) for part in arguments)]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        begun.append(process)
        told = home / "building"
        assert eventually(lambda: told.exists() and told.read_text().strip() != "", every_s=0.02)
        begun.extend(psutil.Process(int(pid)) for pid in told.read_text().split())
        return begun

    yield begin
    for process in reversed(begun):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
        process.wait(10)


@pytest.mark.parametrize(
    ("arguments", "number", "code", "said"),
    [
        pytest.param(["cluster", "build"], signal.SIGTERM, 143, "", id="build-term"),
        pytest.param(["cluster", "build"], signal.SIGHUP, 129, "", id="build-hup"),
        pytest.param(["cluster", "build"], signal.SIGINT, 130, ENDED, id="build-int"),
        pytest.param(["cluster", "path"], signal.SIGTERM, 143, "", id="path-term"),
        pytest.param(["cluster", "path"], signal.SIGINT, 130, ENDED, id="path-int"),
        pytest.param(["cluster", "start", "--data", "{folder}/c"], signal.SIGTERM, 143, "", id="start-term"),
        pytest.param(
            ["cluster", "start", "--data", "{folder}/c"],
            signal.SIGINT,
            130,
            "Interrupted. What had been started has been ended.",
            id="start-int",
        ),
        pytest.param(["demo"], signal.SIGTERM, 143, "", id="demo-term"),
        pytest.param(
            ["demo"],
            signal.SIGINT,
            130,
            "Interrupted. What the demo had started has been ended, its files are removed.",
            id="demo-int",
        ),
    ],
)
def test_signal_during_the_build_ends_go_too(building, arguments, number, code, said):
    process, go, compiler = building(*arguments)

    process.send_signal(number)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == code
    assert not go.is_running()
    assert not compiler.is_running()
    assert errors.endswith(f"\n{said}\n" if said else "\n")
    assert "Traceback" not in errors
    assert "Aborted" not in errors
