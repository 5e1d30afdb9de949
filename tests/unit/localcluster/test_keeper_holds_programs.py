"""The keeper starts programs, reserves a port, and ends everything when it should."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from keyferry.localcluster import LocalClusterError
from keyferry.localcluster.layout import running_pid
from keyferry.localcluster.supervisor import Supervisor

SLEEP = ["/bin/sleep", "600"]
STUBBORN = ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do /bin/sleep 0.02; done"]


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "plane"
    path.mkdir()
    return path


@pytest.fixture
def supervisor(folder):
    one = Supervisor(folder)
    yield one
    one.close()


def test_programs_run_in_the_folder_and_write_their_log(supervisor, folder):
    supervisor.start("pwd", ["/bin/pwd"], folder / "pwd.log")
    until(lambda: "pwd" in supervisor.ended())

    assert supervisor.ended() == {"pwd": 0}
    assert supervisor.running() == {}
    assert (folder / "pwd.log").read_text() == f"{folder}\n"


def test_programs_get_no_variable_that_may_hold_a_secret(folder, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    supervisor = Supervisor(folder)
    supervisor.start("env", ["/usr/bin/env"], folder / "env.log")
    until(lambda: "env" in supervisor.ended())
    supervisor.close()

    names = {line.partition("=")[0] for line in (folder / "env.log").read_text().splitlines()}
    assert names <= {"PATH", "TMPDIR"}


def test_program_that_cannot_start_is_an_error(supervisor, folder):
    with pytest.raises(LocalClusterError) as caught:
        supervisor.start("none", ["/no/such/program"], folder / "none.log")

    assert caught.value.message.startswith("the control plane cannot start: ")
    assert supervisor.running() == {}


def test_stop_waits_for_the_end(supervisor, folder):
    pid = supervisor.start("sleep", SLEEP, folder / "sleep.log")
    code = supervisor.stop("sleep", grace_s=5)

    assert code == -signal.SIGTERM
    assert not runs(pid)
    assert supervisor.stop("sleep", grace_s=5) == 0


def test_stubborn_program_is_killed_after_its_grace(supervisor, folder):
    supervisor.start("stubborn", STUBBORN, folder / "log")
    until(lambda: (folder / "log").read_text() == "ready\n")

    assert supervisor.stop("stubborn", grace_s=0.05) == -signal.SIGKILL


def test_closing_ends_programs_and_keeper(supervisor, folder):
    pid = supervisor.start("sleep", SLEEP, folder / "sleep.log")
    in_order = supervisor.close()

    assert in_order
    assert not runs(pid)
    assert not runs(supervisor.pid)
    assert folder.exists()
    with pytest.raises(LocalClusterError):
        supervisor.running()


def test_closing_removes_the_folder_where_asked(folder):
    Supervisor(folder, remove=True).close()

    assert not folder.exists()


PARENT = ["/bin/sh", "-c", "/bin/sleep 600 & echo $!; wait"]


@pytest.mark.parametrize("grace_s", [pytest.param(0.0, id="killed"), pytest.param(5.0, id="asked")])
def test_what_a_program_has_started_ends_with_it(supervisor, folder, grace_s):
    supervisor.start("parent", PARENT, folder / "log")
    until(lambda: (folder / "log").read_text().endswith("\n"))
    child = int((folder / "log").read_text())

    supervisor.stop("parent", grace_s)

    until(lambda: not runs(child))


def test_closing_gives_programs_their_time_where_asked(folder, tmp_path):
    told = tmp_path / "told"
    orderly = [
        "/bin/sh",
        "-c",
        f"trap 'echo ended > {told}; exit' TERM; echo ready; while :; do sleep 0.02; done",
    ]
    supervisor = Supervisor(folder, remove=True, graceful=True)
    supervisor.start("orderly", orderly, folder / "log", grace_s=5)
    until(lambda: (folder / "log").read_text() == "ready\n")

    supervisor.close()

    assert told.read_text() == "ended\n"
    assert not folder.exists()


FORKS = """
import os, sys, time
from pathlib import Path
from keyferry.localcluster.supervisor import Supervisor

folder = Path(sys.argv[1])
supervisor = Supervisor(folder)
supervisor.start("sleep", ["/bin/sleep", "600"], folder / "sleep.log")
if not (child := os.fork()):
    {in_the_child}
    os._exit(0)
{in_the_parent}
"""
"""A child made by fork shares our end of the pipe, and owns nothing."""


def forking(folder, **parts):
    done = subprocess.run(
        [sys.executable, "-c", FORKS.format(**parts), str(folder)], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_closed_in_a_forked_child_it_runs_on(folder):
    said = forking(
        folder,
        in_the_child="supervisor.close()",
        in_the_parent="os.wait(); print(*supervisor.running()); supervisor.close()",
    )

    assert said == ["sleep"]


def test_owner_is_missed_though_its_forked_child_holds_the_pipe(folder):
    (child,) = forking(
        folder,
        in_the_child="os.closerange(1, 3); time.sleep(60)",
        in_the_parent="print(child, flush=True); os._exit(0)",
    )
    try:
        until(lambda: running_pid(folder) is None)
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_killed_keeper_is_told(supervisor):
    os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: not runs(supervisor.pid))

    with pytest.raises(LocalClusterError) as caught:
        supervisor.running()
    assert caught.value.message == "the control plane's keeper process is gone"
    assert not supervisor.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_killed_keeper_takes_its_programs_along(supervisor, folder):
    pid = supervisor.start("sleep", SLEEP, folder / "sleep.log")
    os.kill(supervisor.pid, signal.SIGKILL)

    until(lambda: not runs(pid))


def test_folder_has_one_keeper(supervisor, folder):
    with pytest.raises(LocalClusterError) as caught:
        Supervisor(folder)

    assert caught.value.message == f'a control plane already runs in "{folder}"'
    assert running_pid(folder) == supervisor.pid


def test_lock_ends_with_the_keeper(folder):
    before = running_pid(folder)
    supervisor = Supervisor(folder)
    during = running_pid(folder)
    supervisor.close()

    assert (before, during, running_pid(folder)) == (None, supervisor.pid, None)


def test_detached_it_lives_until_sigterm(folder):
    supervisor = Supervisor(folder)
    pid = supervisor.start("sleep", SLEEP, folder / "sleep.log")
    supervisor.detach()
    supervisor.close()
    lived = runs(pid) and running_pid(folder) == supervisor.pid
    os.kill(supervisor.pid, signal.SIGTERM)
    until(lambda: running_pid(folder) is None)

    assert lived
    assert not runs(pid)


def test_detached_keeper_ends_with_its_last_program(folder):
    supervisor = Supervisor(folder)
    pid = supervisor.start("sleep", SLEEP, folder / "sleep.log")
    supervisor.detach()
    os.kill(pid, signal.SIGKILL)

    until(lambda: running_pid(folder) is None)


def test_reserved_port_is_kept_from_others_and_refuses_connections(supervisor):
    port = supervisor.reserve_port()

    with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
        other.bind(("127.0.0.1", port))
    with socket.socket() as caller, pytest.raises(ConnectionRefusedError):
        caller.connect(("127.0.0.1", port))


def test_reserved_port_can_be_served_again_and_again(supervisor):
    """A server that shares it by SO_REUSEPORT gets every connection: the reservation itself never listens."""
    port = supervisor.reserve_port()

    for _ in range(2):
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            server.bind(("127.0.0.1", port))
            server.listen()
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", port), timeout=5):
                    server.accept()[0].close()


def test_wish_for_a_port_is_granted_where_it_is_free(folder, supervisor):
    free = supervisor.reserve_port()
    supervisor.close()
    again = Supervisor(folder)
    granted = again.reserve_port(free)
    again.close()

    assert granted == free


@pytest.mark.parametrize("shares", [False, True], ids=["plain", "shared"])
def test_wish_for_a_taken_port_gets_another(supervisor, shares):
    with socket.socket() as other:
        if shares:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]

        assert supervisor.reserve_port(taken) != taken
