"""`keyferry run` takes the place of the reference operator with its command line as it is.

The flags and defaults are those of its public documentation (external-secrets.io, "Controller Options").
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import click
import pytest

from keyferry.cli.process import RunOptions
from keyferry.cli.run import WITHOUT_MEANING, run

REFERENCE = {
    "metrics-addr": ":8080",
    "metrics-auth": "false",
    "metrics-secure": "false",
    "metrics-cert-dir": "/certs",
    "metrics-cert-name": "tls.crt",
    "metrics-key-name": "tls.key",
    "controller-class": "default",
    "enable-leader-election": "false",
    "leader-election-id": "external-secrets-controller",
    "leader-election-lease-duration": "15s",
    "leader-election-renew-deadline": "10s",
    "leader-election-retry-period": "2s",
    "concurrent": "1",
    "client-qps": "50",
    "client-burst": "100",
    "live-addr": ":8082",
    "loglevel": "info",
    "zap-time-encoding": "epoch",
    "namespace": "",
    "enable-cluster-store-reconciler": "true",
    "enable-secret-store-reconciler": "true",
    "enable-cluster-external-secret-reconciler": "true",
    "enable-cluster-push-secret-reconciler": "true",
    "enable-push-secret-reconciler": "true",
    "enable-secrets-caching": "false",
    "enable-configmaps-caching": "false",
    "enable-managed-secrets-caching": "true",
    "enable-secret-api-read-on-cache-mismatch": "true",
    "store-requeue-interval": "5m",
    "enable-flood-gate": "true",
    "enable-generator-state": "true",
    "enable-extended-metric-labels": "false",
    "enable-http2": "false",
    "unsafe-allow-generic-targets": "false",
    "enable-vault-token-cache": "false",
    "experimental-enable-vault-token-cache": "false",
    "vault-token-cache-size": "262144",
    "experimental-vault-token-cache-size": "262144",
    "generator-gc-grace-period": "2m",
    "template-left-delimiter": "{{",
    "template-right-delimiter": "}}",
    "doppler-oidc-cache-size": "262144",
    "pulumi-oidc-cache-size": "262144",
    "mysterybox-tokens-cache-size": "262144",
    "mysterybox-connections-cache-size": "262144",
}
BOOLEANS = [name for name, default in REFERENCE.items() if default in ("true", "false")]


def parsed(*arguments: str) -> dict[str, object]:
    """What the command makes of its command line."""
    return run.make_context("run", list(arguments)).params


def refused(*arguments: str) -> str:
    """What the command says of a command line that it does not take."""
    with pytest.raises(click.UsageError) as caught:
        parsed(*arguments)
    return caught.value.format_message()


@pytest.mark.parametrize("flag", REFERENCE)
def test_flag_is_accepted_with_its_default(flag) -> None:
    name = flag.replace("-", "_")

    joined, apart = parsed(f"--{flag}={REFERENCE[flag]}"), parsed(f"--{flag}", REFERENCE[flag])

    assert joined[name] is not None or flag == "namespace"
    assert joined == apart


def test_all_flags_are_accepted_at_once() -> None:
    parsed(*(f"--{flag}={default}" for flag, default in REFERENCE.items()))


@pytest.mark.parametrize("flag", BOOLEANS)
def test_switch_without_a_value_is_on_and_takes_no_other_flag_for_one(flag) -> None:
    given = parsed(f"--{flag}", "--controller-class=ours")

    assert (True, "ours") == (given[flag.replace("-", "_")] in (True, "true"), given["controller_class"])


@pytest.mark.parametrize("text", ["false", "False", "FALSE", "f", "F", "0"])
def test_switch_is_off_by_all_words_of_go(text) -> None:
    assert parsed(f"--enable-flood-gate={text}")["enable_flood_gate"] is False


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "t", "T", "1"])
def test_switch_is_on_by_all_words_of_go(text) -> None:
    assert parsed(f"--enable-flood-gate={text}")["enable_flood_gate"] is True


@pytest.mark.parametrize("text", ["yes", "on", "", "2"])
def test_other_words_for_a_switch_are_refused(text) -> None:
    assert "neither true nor false" in refused(f"--enable-flood-gate={text}")


@pytest.mark.parametrize(
    ("text", "seconds"), [("5m", 300.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("250ms", 0.25), ("0", 0.0)]
)
def test_durations_are_those_of_go(text, seconds) -> None:
    assert seconds == parsed(f"--store-requeue-interval={text}")["store_requeue_interval"]


@pytest.mark.parametrize("text", ["5", "5 m", "1d", "soon", ""])
def test_other_durations_are_refused(text) -> None:
    assert "--store-requeue-interval" in refused(f"--store-requeue-interval={text}")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8080", ("", 8080)),
        ("0.0.0.0:9090", ("0.0.0.0", 9090)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:8080", ("::1", 8080)),
        ("0", None),
    ],
)
def test_addresses_to_listen_at(text, address) -> None:
    assert address == parsed(f"--metrics-addr={text}")["metrics_addr"]


@pytest.mark.parametrize("text", ["8080", ":", ":http", ":65536", ":-1", "localhost", ""])
def test_other_addresses_are_refused(text) -> None:
    assert "is no address" in refused(f"--live-addr={text}")


@pytest.mark.parametrize("text", ["0", "-1", "1001", "many"])
def test_number_of_writes_at_once_has_bounds(text) -> None:
    assert "--concurrent" in refused(f"--concurrent={text}")


@pytest.mark.parametrize("level", ["debug", "info", "warn", "error", "dpanic", "panic", "fatal", "INFO"])
def test_levels_of_the_references_logger_are_known(level) -> None:
    assert level.lower() == str(parsed(f"--loglevel={level}")["loglevel"]).lower()


@pytest.mark.parametrize("form", ["epoch", "millis", "nano", "iso8601", "rfc3339", "rfc3339nano"])
def test_time_formats_of_the_references_logger_are_known(form) -> None:
    assert form == parsed(f"--zap-time-encoding={form}")["zap_time_encoding"]


def test_unknown_flag_is_refused_by_name() -> None:
    assert "--enable-everything" in refused("--enable-everything")


def test_every_flag_is_an_option_of_the_process_or_said_to_be_without_effect() -> None:
    """A flag that is neither would be a failure at the start, or silently nothing."""
    flags = {name for name in parsed() if name.replace("_", "-") not in WITHOUT_MEANING}
    options = {field.name for field in dataclasses.fields(RunOptions)} - {"ignored"}

    assert flags == options


def test_flag_without_effect_is_said_once_and_one_that_is_not_given_never(tmp_path) -> None:
    """And without a cluster the process ends with 2 and one line that says why."""
    command = [
        sys.executable,
        "-m",
        "keyferry",
        "run",
        "--enable-secrets-caching",
        "--vault-token-cache-size=7",
    ]

    ended = subprocess.run(
        [*command, f"--kubeconfig={tmp_path}/none"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )

    *logged, last = ended.stderr.splitlines()
    assert 2 == ended.returncode
    assert 2 == len(logged)
    assert (
        f"flag --enable-secrets-caching has no effect: {WITHOUT_MEANING['enable-secrets-caching']}"
        in logged[0]
    )
    assert "flag --vault-token-cache-size has no effect" in logged[1]
    assert last.startswith("keyferry run: ")
    assert f"{tmp_path}/none" in last
