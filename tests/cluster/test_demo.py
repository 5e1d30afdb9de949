"""`keyferry demo` as a newcomer runs it: a process, real parts, and nothing left of it afterwards."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import psutil
import pytest

from keyferry.cli.demo.failure import DemoFailed
from keyferry.cli.demo.timeline import WIDTH
from keyferry.cli.demo.watch import Watch
from keyferry.localcluster import LocalCluster
from keyferry.testing.eventually import eventually
from keyferry.testing.kubeclient import KubeClient, path_of
from keyferry.testing.leaks import MARKER_VARIABLE, RUN, LeakDetector, canary

pytestmark = pytest.mark.long

ACTS: Final = [
    "cluster", "AWS", "operator", "identity", "synced", "rotated", "repaired",
    "outage", "recovered", "mistake 1", "mistake 2", "fixed",
]  # fmt: skip
VALUES: Final = ("demo-password-first", "demo-password-second", "demo-billing-token")
SCREEN: Final = 62
"""Lines of the whole demo, at most."""

HOSTILE: Final = {
    "AWS_PROFILE": "no-such-profile",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
}
"""What a newcomer's shell may hold; none of it may matter."""


class Demo:
    """A running `keyferry demo`.

    Args:
        folder: its temporary folder.
        flags: of the command.
    """

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self._said: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "keyferry", "demo", *flags],
            env=environment(folder) | HOSTILE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.append(line.rstrip("\n"))

    def wait_for(self, act: str) -> None:
        """Until it tells of this act."""
        eventually(lambda: any(line[10:].startswith(act) for line in self._said), timeout_s=90)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, list[str], str]:
        """Its exit code, its lines, and what it said on standard error."""
        assert self._process.stderr is not None
        failure = self._process.stderr.read()
        code = self._process.wait(120)
        self._reader.join()
        self.close()
        return code, self._said, failure

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


class Played(NamedTuple):
    """A demo that has ended: its temporary folder, exit code, lines, and standard error."""

    folder: Path
    code: int
    lines: list[str]
    failure: str

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(folder), MARKER_VARIABLE: RUN.marker}


def family(folder: Path) -> list[psutil.Process]:
    """Processes that work in this temporary folder, by their arguments or their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if any(str(folder) in part for part in process.cmdline()) or _works_in(process, folder):
                found.append(process)
    return found


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.environ().get("TMPDIR") == str(folder)
    except (psutil.Error, OSError):
        return False


def labels(lines: list[str]) -> list[str]:
    """The acts that a timeline tells of."""
    found = (re.match(r" +\d+\.\d s  (.{10}) \S", line) for line in lines)
    return [entry[1].strip() for entry in found if entry]


def keyferry(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keyferry", *arguments],
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """The temporary folder of the test's demo; what is left running in it is ended."""
    yield tmp_path
    for process in family(tmp_path):
        with contextlib.suppress(psutil.Error):
            process.kill()


@pytest.fixture
def demo(temporary: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start(*flags: str) -> Demo:
        started.append(Demo(temporary, *flags))
        return started[-1]

    yield start
    for one in started:
        one.close()


def assert_nothing_is_left(folder: Path) -> None:
    eventually(lambda: not family(folder))
    assert [path.name for path in folder.iterdir()] == []


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """A demo that has been played to its end, once for the tests that look at it."""
    folder = tmp_path_factory.mktemp("demo")
    running = Demo(folder)
    try:
        yield Played(folder, *running.end())
    finally:
        running.close()


def test_demo_shows_the_main_job_on_one_screen(played: Played) -> None:
    assert (played.code, played.failure) == (0, "")
    assert labels(played.lines) == ACTS
    assert len(played.lines) <= SCREEN
    assert max(map(len, played.lines)) <= WIDTH
    assert "\x1b" not in played.text


def test_finished_demo_leaves_nothing(played: Played) -> None:
    assert_nothing_is_left(played.folder)


def test_demo_shows_no_secret_value(played: Played) -> None:
    for name in VALUES:
        canary(name)  # so that the detector knows what it looks for

    assert LeakDetector().look("output", played.text) == []


def test_demo_tells_what_only_a_working_one_can(played: Played) -> None:
    text = " ".join(played.text.split())

    assert "system:serviceaccount:team-a:app became arn:aws:iam::123456789012:role/app" in text
    assert re.search(r"password: 58 bytes, fingerprint [0-9a-f]{6}; username: 4 bytes", text)
    assert re.search(r"reaches the Secret [\d.]+ m?s later, fingerprint [0-9a-f]{6}", text)
    assert re.search(r"kubectl delete secret db: it is back [\d.]+ m?s later", text)
    assert "AWS Secrets Manager in eu-central-1 cannot be reached" in text
    assert "has 'password', 'username'" in text
    assert "is not allowed to secretsmanager:GetSecretValue" in text


def test_table_at_the_end_is_all_ready(played: Played) -> None:
    start = played.lines.index("$ kubectl -n team-a get externalsecrets")
    rows = [line.split() for line in played.lines[start + 2 : start + 5]]

    assert [(row[0], *row[4:6]) for row in rows] == [
        ("billing", "SecretSynced", "True"),
        ("db", "SecretSynced", "True"),
        ("typo", "SecretSynced", "True"),
    ]


def test_kept_demo_can_be_used_rotated_and_stopped(demo: Callable[..., Demo], temporary: Path) -> None:
    code, lines, failure = demo("--keep").end()
    assert (code, failure) == (0, "")
    kubeconfig = next(line.partition("KUBECONFIG=")[2] for line in lines if "export KUBECONFIG=" in line)
    stop_command = next(line for line in lines if " demo stop " in line)
    kube = KubeClient.from_kubeconfig(Path(kubeconfig))
    path = path_of("v1", "secrets", namespace="team-a", name="db")
    before = kube.get(path)["data"]

    rotated = keyferry(temporary, "demo", "rotate")
    after = kube.get(path)["data"]
    logs = "".join(log.read_text() for log in temporary.rglob("operator.log"))
    stopped = keyferry(temporary, "demo", "stop", stop_command.split()[-1])
    again = keyferry(temporary, "demo", "stop")

    assert (rotated.returncode, rotated.stderr) == (0, "")
    assert re.search(r"A new password of 32 bytes .* later in Secret team-a/db", rotated.stdout)
    assert before["username"] == after["username"]
    assert before["password"] != after["password"]
    for data in (before, after):
        value = base64.b64decode(data["password"]).decode()
        assert value not in "".join(lines) + rotated.stdout + logs
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert again.returncode == 1
    assert_nothing_is_left(temporary)


@pytest.mark.parametrize("act", ["cluster", "synced"])
def test_interrupt_leaves_nothing(act: str, demo: Callable[..., Demo], temporary: Path) -> None:
    running = demo()
    running.wait_for(act)
    running.send(signal.SIGINT)
    code, _, failure = running.end()

    assert code == 130
    assert failure.startswith("\nInterrupted.")
    assert_nothing_is_left(temporary)


def test_interrupt_while_the_control_plane_starts_leaves_nothing(
    demo: Callable[..., Demo], temporary: Path
) -> None:
    running = demo()
    eventually(lambda: list(temporary.glob("keyferry-cluster-*/logs/etcd.log")), timeout_s=60, every_s=0.005)
    running.send(signal.SIGINT)
    code, _, failure = running.end()

    assert code == 130
    assert failure.startswith("\nInterrupted.")
    assert_nothing_is_left(temporary)


def test_termination_leaves_nothing(demo: Callable[..., Demo], temporary: Path) -> None:
    running = demo()
    running.wait_for("cluster")
    running.send(signal.SIGTERM)
    code, _, failure = running.end()

    assert (code, failure) == (143, "")
    assert_nothing_is_left(temporary)


def test_killed_demo_leaves_nothing(demo: Callable[..., Demo], temporary: Path) -> None:
    running = demo()
    running.wait_for("operator")
    running.send(signal.SIGKILL)
    running.end()

    eventually(lambda: not family(temporary) and not list(temporary.iterdir()))


def test_failure_is_told_with_its_cause_and_the_logs(demo: Callable[..., Demo], temporary: Path) -> None:
    running = demo()
    running.wait_for("synced")
    (operator,) = [one for one in family(temporary) if "run" in one.cmdline() and "keyferry" in one.cmdline()]
    operator.kill()
    code, _, failure = running.end()
    (logs,) = temporary.iterdir()

    assert code == 1
    assert failure.startswith("Error: the operator ended with code -9. The end of its log:\n")
    assert failure.endswith(f"All has been ended. The logs are in {logs}\n")
    assert {"operator.log", "aws.log", "kube-apiserver.log", "traceback.txt"} <= {
        path.name for path in logs.iterdir()
    }
    eventually(lambda: not family(temporary))


def test_watch_tells_changes_in_their_order_with_their_times(
    cluster: LocalCluster, kube: KubeClient, namespace: str
) -> None:
    secrets = path_of("v1", "secrets", namespace=namespace)
    with Watch(cluster.kubeconfig, {"secrets": secrets}) as watch:
        began = time.monotonic()
        kube.post(secrets, {"metadata": {"name": "one"}, "stringData": {"key": "value"}})
        made = watch.wait("secrets", "one", lambda body: body is not None)
        kube.delete(f"{secrets}/one")
        gone = watch.wait("secrets", "one", lambda body: body is None)

        assert began < made.at < gone.at < time.monotonic()
        assert "value" not in repr(made)
        assert watch.latest("secrets", "one") is None


def test_wait_ends_with_what_is_missing(cluster: LocalCluster, namespace: str) -> None:
    secrets = path_of("v1", "secrets", namespace=namespace)
    with (
        Watch(cluster.kubeconfig, {"secrets": secrets}) as watch,
        pytest.raises(DemoFailed, match=r'the change of "none" in secrets did not come in 0\.1 s'),
    ):
        watch.wait("secrets", "none", lambda body: body is not None, timeout_s=0.1)


def test_wait_fails_at_once_when_what_it_waits_for_cannot_come(cluster: LocalCluster, namespace: str) -> None:
    def check() -> None:
        raise DemoFailed("the operator ended")

    secrets = path_of("v1", "secrets", namespace=namespace)
    with (
        Watch(cluster.kubeconfig, {"secrets": secrets}, check) as watch,
        pytest.raises(DemoFailed, match="the operator ended"),
    ):
        watch.wait("secrets", "none", lambda body: body is not None)


def test_watch_that_is_refused_says_so(cluster: LocalCluster) -> None:
    with pytest.raises(DemoFailed, match="the API server refuses to watch nothings: 404"):
        Watch(cluster.kubeconfig, {"nothings": "/api/v1/nothings"})
