"""The double is a process that serves soon, ends with its owner, and leaks nothing of its owner's AWS."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import boto3
import psutil
import pytest

from keyferry.testing.aws import StrictAws
from keyferry.testing.eventually import eventually


def gone(pid):
    """Whether the process has ended; one that nobody has asked about since counts as ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_it_serves_its_port_soon_is_gone_after_stop_and_a_restart_begins_with_nothing():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    with StrictAws(port=port) as aws:
        assert time.monotonic() - began < 15
        assert aws.endpoint == f"http://127.0.0.1:{port}"
        aws.administrator().put_secret("app/db", "value")
        pid = aws.pid

    assert gone(pid)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)

    with StrictAws(port=port) as aws:
        assert aws.administrator().client("secretsmanager").list_secrets()["SecretList"] == []


def test_a_port_that_is_taken_is_an_error_told_in_its_log(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        log = tmp_path / "aws.log"

        with pytest.raises(RuntimeError, match="did not start"):
            StrictAws(port=taken.getsockname()[1], log=log).start()

    assert "address already in use" in log.read_text().lower()


OWNER = """
import sys, time
from keyferry.testing.aws import StrictAws
aws = StrictAws().start()
print(aws.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_when_its_owner_is_killed():
    """However: no signal lets the owner tidy up."""
    with contextlib.ExitStack() as stack:
        owners = {
            number: stack.enter_context(
                subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE)
            )
            for number in (signal.SIGTERM, signal.SIGKILL)
        }
        pids = [int(owner.stdout.readline()) for owner in owners.values()]
        for number, owner in owners.items():
            owner.send_signal(number)
            owner.wait(10)

    for pid in pids:
        assert eventually(lambda pid=pid: gone(pid), every_s=0.01)


def test_it_ends_on_sigterm(tmp_path):
    aws = StrictAws().start()
    pid = aws.pid

    os.kill(aws.pid, signal.SIGTERM)

    assert aws._process.wait(10) == 0
    aws.stop()
    assert gone(pid)


def test_an_sdk_finds_it_by_environment_variables_alone(monkeypatch):
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "999999999999")  # must not leak into the double
    with StrictAws() as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        keys = aws.administrator().create_user("someone", allow=["app/*"])
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_access_key)
        aws.administrator().put_secret("app/db", "value")
        session = boto3.session.Session()

        identity = session.client("sts").get_caller_identity()
        value = session.client("secretsmanager").get_secret_value(SecretId="app/db")["SecretString"]

    assert (identity["Arn"], value) == ("arn:aws:iam::123456789012:user/someone", "value")


def test_importing_the_package_loads_neither_moto_nor_boto3():
    code = "import sys, keyferry.testing.aws; print(sorted({'moto', 'boto3', 'flask'} & set(sys.modules)))"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
