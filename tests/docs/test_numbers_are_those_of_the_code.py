"""Numbers on the pages are the constants of the code: who changes one is led to the other."""

from __future__ import annotations

import pytest

from keyferry.api import external_secret
from keyferry.api.admission import MAX_COMPARED_KEYS
from keyferry.cli import probes, process
from keyferry.core import backoff, desired
from keyferry.planner import health, planner, search, session
from keyferry.providers.aws import client, credentials, pace, parameter_store, sdk, secrets_manager, settings
from keyferry.providers.vault import answers, call, find, identity, kv, way
from keyferry.reconcile import queue, resync, runner
from keyferry.reconcile import resolve as resolving

from .markdown import ROOT, prose

HEAD_START = queue.HEAD_START_S[queue.Lane.PERIODIC] - queue.HEAD_START_S[queue.Lane.USER]
OPERATIONS = [
    f"doubling to {backoff.LONGEST_S:.0f} s",
    f"doubling to {backoff.LONGEST_FREE_S:.0f} s",
    f"After {backoff.FIRST_S:.0f} s",
    f"{'Ten' if backoff.PATIENCE == 10 else backoff.PATIENCE} failures in a row",
    f"Pauses vary by {backoff.JITTER:.0%}".replace("%", " %"),
    f"up to {backoff.JITTER:.0%} early".replace("%", " %"),
    f"at most {backoff.restart_spread_s(1e9):.0f} s",
    f"repeated after {session.DEFAULT_RETRIES[0]} s and {session.DEFAULT_RETRIES[1]} s",
    f"asks again after {health.FIRST_PROBE_S:.0f} s, doubling to {health.LONGEST_PROBE_S:.0f} s,",
    f"or to {health.LONGEST_REFUSED_PROBE_S:.0f} s where the credentials are refused",
    f"as old as {resolving.PERIODIC_AGE_S} s",
    f"a watch has been silent for {probes.WATCH_SILENCE_S:.0f} s",
    f"has waited for {probes.QUEUE_WAIT_S:.0f} s",
    f"waits for {process.STORES_FIRST_S:.0f} s at most",
    f"may take {process.DRAIN_S:.0f} s to end, events {process.FLUSH_S:.0f} s more",
    f"Every {resync.INTERVAL_S:.0f} s the operator compares",
    f"a periodic refresh is {HEAD_START:.0f} s",
]
AWS = [
    f"of up to {secrets_manager.BATCH}.",
    f"It lists {secrets_manager.PAGE} secrets a call",
    f"one `ListSecrets` for each {secrets_manager.PAGE} secrets",
    f"after {session.SEARCH_DEADLINE_S:.0f} s, or when it finds more than {search.MOST_BYTES // 2**20} MiB",
    f"At most {sdk.CALLS_PER_IDENTITY} calls at once per identity",
    f"{settings.CONNECT_TIMEOUT_S} s to connect, {settings.READ_TIMEOUT_S} s for an answer",
    f"({credentials.TOKEN_LIFETIME_S // 60} minutes, audience",
    f"{'ten' if credentials.EARLY.total_seconds() == 600 else '?'} minutes before its end",
    f"tries a batch again after {'an hour' if client.REFUSED_S == 3600 else '?'}",
    f"`{credentials.WEB_IDENTITY_SESSION}` for a ServiceAccount's role",
    f"`{credentials.ROLE_SESSION}` for a role that another one assumes",
]
PARAMETER_STORE = [
    f"share one `GetParameters` of up to {parameter_store.BATCH},",
    f"1,000 parameters are {1000 // parameter_store.BATCH} calls",
    f"the values come along, {'ten' if parameter_store.VALUES_PAGE == 10 else '?'} a call",
    f"names are listed, {parameter_store.NAMES_PAGE} a call",
    f"AWS takes {pace.QUOTA_PER_S} calls a second",
    f"sends {pace.BURST} at once and then {pace.RATE} a second",
    f"is read alone for {'an hour' if client.REFUSED_S == 3600 else '?'}",
    f"the path is tried again after {'an hour' if client.REFUSED_S == 3600 else '?'}",
    f"{sdk.CALLS_PER_IDENTITY} calls at once per identity",
    f"after {session.SEARCH_DEADLINE_S:.0f} s, or when it finds more than {parameter_store.MOST_BYTES // 2**20} MiB",
]
EXTERNAL_SECRET = [
    f"The values of one Secret: {desired.MAX_SECRET_BYTES // 2**20} MiB",
    f"`dataFrom`: {external_secret.MAX_ENTRIES} entries",
    f"`templateFrom`: {external_secret.MAX_TEMPLATE_SOURCES}",
    f"up to {MAX_COMPARED_KEYS} entries",
]
SECRET_STORE = [
    f"at most {planner._MOST_RETRIES}.",
    f"at most {planner._LONGEST_PAUSE_S:.0f} s.",
    f"what was read is good for {planner.UNWATCHED_AGE_S:.0f} s",
    f"`retrySettings.maxRetries` | {len(session.DEFAULT_RETRIES)} |",
    f"{session.DEFAULT_RETRIES[0] * 1000:.0f}ms, then {session.DEFAULT_RETRIES[1] * 1000:.0f}ms",
]
INSTALL = [f"{'Eight' if runner.AHEAD == 8 else runner.AHEAD} times as many objects"]
VAULT = [
    f"({identity.TOKEN_LIFETIME_S // 60} minutes) and shows that to Vault",
    f"renewed after {'two thirds' if answers.RENEW_AT == 2 / 3 else '?'} of its life",
    f"At most {way.CALLS_PER_IDENTITY} calls at once per identity",
    f"{call.CONNECT_S:.0f} s to connect, {call.READ_S:.0f} s between two parts of an answer, {call.TOTAL_S:.0f} s for all",
    f"An answer may have {call.MAX_BODY_BYTES >> 20} MiB",
    f"asked once {'a minute' if kv._EXPLAINED_S == 60 else '?'}",
    f"after {session.SEARCH_DEADLINE_S:.0f} s, beyond {find.MOST_NAMES} names or {search.MOST_BYTES // 2**20} MiB",
]
SAID = [
    *(("docs/operations.md", text) for text in OPERATIONS),
    *(("docs/providers/aws.md", text) for text in AWS),
    *(("docs/providers/aws-parameter-store.md", text) for text in PARAMETER_STORE),
    *(("docs/providers/vault.md", text) for text in VAULT),
    *(("docs/kinds/externalsecret.md", text) for text in EXTERNAL_SECRET),
    *(("docs/kinds/secretstore.md", text) for text in SECRET_STORE),
    *(("docs/install.md", text) for text in INSTALL),
]


@pytest.mark.parametrize(("page", "text"), SAID)
def test_page_tells_the_number(page, text):
    assert text in " ".join(prose(ROOT / page).split())
