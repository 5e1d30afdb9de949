"""`keyferry run`: the operator. Flags here, wiring in `process.py`."""

from __future__ import annotations

import gc
import os
import sys
import threading
from typing import Any, Final

import click

from keyferry.cli.flags import GoDuration, ListenAddress, VaultAddresses, go_flag
from keyferry.logs import LEVELS, TIME_FORMATS

# Flags of the reference operator that are accepted and do nothing here, with the reason that is logged.
_NO_CACHES: Final = "Keyferry keeps no Secret values, so there is nothing to cache"
_SHARED: Final = "store sessions are always shared by identity"
_NOT_YET: Final = "not available yet in this version of Keyferry"
_KIND_NOT_YET: Final = "this kind is not available yet in this version of Keyferry"
WITHOUT_MEANING: Final = {
    "enable-secrets-caching": _NO_CACHES,
    "enable-configmaps-caching": _NO_CACHES,
    "enable-managed-secrets-caching": _NO_CACHES,
    "enable-secret-api-read-on-cache-mismatch": _NO_CACHES,
    "enable-vault-token-cache": _SHARED,
    "experimental-enable-vault-token-cache": _SHARED,
    "vault-token-cache-size": _SHARED,
    "experimental-vault-token-cache-size": _SHARED,
    "enable-openbao-token-cache": _SHARED,
    "openbao-token-cache-size": _SHARED,
    "doppler-oidc-cache-size": _SHARED,
    "pulumi-oidc-cache-size": _SHARED,
    "mysterybox-tokens-cache-size": _SHARED,
    "mysterybox-connections-cache-size": _SHARED,
    "enable-http2": "the endpoints speak HTTP/1.1",
    "metrics-auth": _NOT_YET,
    "metrics-secure": _NOT_YET,
    "metrics-cert-dir": _NOT_YET,
    "metrics-cert-name": _NOT_YET,
    "metrics-key-name": _NOT_YET,
    "enable-leader-election": f"{_NOT_YET}: run one replica",
    "leader-election-id": _NOT_YET,
    "leader-election-lease-duration": _NOT_YET,
    "leader-election-renew-deadline": _NOT_YET,
    "leader-election-retry-period": _NOT_YET,
    "enable-extended-metric-labels": _NOT_YET,
    "enable-cluster-push-secret-reconciler": _KIND_NOT_YET,
    "enable-push-secret-reconciler": _KIND_NOT_YET,
}


def _accepted(command: Any) -> Any:
    """Add the flags without meaning, hidden."""
    for name in WITHOUT_MEANING:
        option = click.option(f"--{name}", default=None, hidden=True, is_flag=False, flag_value="true")
        command = option(command)
    return command


def _limits(command: Any) -> Any:
    """Add the limits of the watchdog, hidden: tests shorten them, and nobody else should have to know them."""
    for name in ("resync-interval", "watch-silence", "live-watch-silence", "live-queue-wait"):
        command = click.option(f"--{name}", type=GoDuration(), default=None, hidden=True)(command)
    return command


@click.command()
@click.option("--kubeconfig", metavar="FILE", help="Kubeconfig; in a pod the pod's own identity is used.")
@click.option("--context", metavar="NAME", help="Context of the kubeconfig; its current one by default.")
@click.option("--namespace", default="", help="Serve this namespace only; all by default.")
@click.option(
    "--controller-class", default="default", show_default=True, help="Stores of this class are ours."
)
@click.option(
    "--concurrent",
    type=click.IntRange(1, 1000),
    default=32,
    show_default=True,
    help="Writes at the same time.",
)
@click.option(
    "--client-qps", type=float, default=None, help="Most API requests a second; no limit by default."
)
@click.option(
    "--client-burst", type=int, default=None, help="API requests at once before --client-qps bites."
)
@click.option(
    "--metrics-addr", type=ListenAddress(), default=":8080", show_default=True, help="/metrics; 0: off."
)
@click.option(
    "--live-addr",
    type=ListenAddress(),
    default=":8082",
    show_default=True,
    help="/healthz and /readyz; 0: off.",
)
@click.option("--loglevel", type=click.Choice(list(LEVELS), case_sensitive=False), default="info")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--zap-time-encoding", type=click.Choice(TIME_FORMATS), default="iso8601", show_default=True)
@click.option(
    "--store-requeue-interval",
    type=GoDuration(),
    default="5m",
    show_default=True,
    help="Pause between two validations of a store.",
)
@click.option(
    "--refresh-status-interval",
    type=GoDuration(),
    default="5m",
    show_default=True,
    help="A status whose refreshTime alone is new is written no more often than this.",
)
@click.option(
    "--ambient-identity",
    type=click.Choice(["all", "cluster", "none"]),
    default="all",
    show_default=True,
    help="Which stores may use the operator's own cloud identity.",
)
@click.option(
    "--allow-address",
    multiple=True,
    metavar="HOST|CIDR",
    help="Let stores name this loopback or link-local address. Repeatable.",
)
@click.option(
    "--trusted-vaults",
    type=VaultAddresses(),
    default=None,
    metavar="URL,…",
    help="Vaults that get ServiceAccount tokens which the API server accepts too.",
)
@click.option(
    "--generator-gc-grace-period",
    type=GoDuration(),
    default="2m",
    show_default=True,
    help="So long what a generator made before stays good.",
)
@go_flag(
    "--enable-generator-state", default=True, text="Note what generators made elsewhere, to take it back."
)
@go_flag("--enable-flood-gate", default=True, text="Wait with a store's objects until it is ready.")
@go_flag("--enable-secret-store-reconciler", default=True, text="Validate SecretStores.")
@go_flag("--enable-cluster-store-reconciler", default=True, text="Serve ClusterSecretStores.")
@go_flag("--enable-cluster-external-secret-reconciler", default=True, text="Serve ClusterExternalSecrets.")
@go_flag(
    "--unsafe-allow-generic-targets",
    default=False,
    text="Let spec.target.manifest name other kinds than Secret.",
)
@click.option(
    "--template-left-delimiter", default="{{", show_default=True, help="Begins an action in templates."
)
@click.option("--template-right-delimiter", default="}}", show_default=True, help="Ends it.")
@click.option(
    "--template-steps",
    type=click.IntRange(1_000, 100_000_000),
    default=100_000,
    show_default=True,
    help="Work that the templates of one object may take together, about a microsecond each.",
)
@click.option(
    "--template-memory",
    type=click.IntRange(1, 1024),
    default=64,
    show_default=True,
    help="MiB of all values that they may make.",
)
@click.option(
    "--template-timeout",
    type=GoDuration(),
    default="5s",
    show_default=True,
    help="Time that they may take, and their cryptography as well.",
)
@_limits
@_accepted
def run(**flags: Any) -> None:
    """Run the operator until SIGTERM or SIGINT.

    All flags of the External Secrets Operator are accepted; one that has no meaning here is logged once.
    """
    # Imports make nothing but what stays: collecting meanwhile takes a sixth of the start.
    gc.disable()
    from keyferry.cli.process import RunOptions, run_process

    known = {name: flags.pop(name) for name in list(flags) if name.replace("_", "-") not in WITHOUT_MEANING}
    options = {name: value for name, value in known.items() if value is not None}
    ignored = {
        name.replace("_", "-"): WITHOUT_MEANING[name.replace("_", "-")]
        for name, value in flags.items()
        if value is not None
    }
    code = run_process(RunOptions(**options, ignored=ignored))
    if threading.active_count() > 1:
        # A thread in a blocking call of an SDK cannot be ended, and there is nothing left to wait for.
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)
