"""The real Vault that tests use: what its administrator sets up holds, and what it tells of itself is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from keyferry.testing.authority import Authority
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary
from keyferry.testing.postgres import PostgresServer, Refused
from keyferry.testing.vault import Api, VaultRefused, VaultServer


def logged_in(vault: VaultServer, path: str, **body: object) -> dict[str, object]:
    return dict(Api(vault.url, vault.ca_pem).request("POST", f"auth/{path}", body)["auth"])


def test_versions_are_written_deleted_and_destroyed(vault: VaultServer):
    administrator = vault.administrator
    administrator.mount_kv("versions")
    reader = Api(vault.url, vault.ca_pem, administrator.token("root").value)

    written = [administrator.put("versions", "app/db", {"n": str(n)}) for n in (1, 2, 3)]
    administrator.annotate("versions", "app/db", {"owner": "team-a"}, max_versions=5)
    administrator.delete("versions", "app/db", 1, 2)
    administrator.undelete("versions", "app/db", 2)
    administrator.destroy("versions", "app/db", 3)
    told = reader.request("GET", "versions/metadata/app/db")["data"]

    assert [1, 2, 3] == written
    assert {"owner": "team-a"} == told["custom_metadata"]
    deleted = {number for number, version in told["versions"].items() if version["deletion_time"]}
    destroyed = {number for number, version in told["versions"].items() if version["destroyed"]}
    assert ({"1"}, {"3"}) == (deleted, destroyed)
    assert {"n": "2"} == reader.request("GET", "versions/data/app/db?version=2")["data"]["data"]


def test_a_token_may_what_its_policies_say_until_it_is_revoked(vault: VaultServer):
    administrator = vault.administrator
    administrator.mount_kv("policed", 1)
    administrator.put("policed", "mine", {"a": canary("policed")}, version=1)
    administrator.put("policed", "theirs", {"a": "b"}, version=1)
    token = administrator.token(administrator.policy("policed", {"policed/mine": ["read"]}), ttl="10m")
    api = Api(vault.url, vault.ca_pem, token.value)

    with pytest.raises(VaultRefused) as denied:
        api.request("GET", "policed/theirs")
    known = administrator.look_up(token.accessor)
    administrator.revoke(token.accessor)

    assert 403 == denied.value.status
    assert known is not None
    assert ["policed"] == [policy for policy in known["policies"] if policy != "default"]
    assert None is administrator.look_up(token.accessor)
    assert 403 == api.send("GET", "policed/mine")[0]


def test_people_and_programs_log_in(vault: VaultServer):
    administrator = vault.administrator
    administrator.policy("some", {"some/*": ["read"]})
    role = administrator.app_role("program", ["some"], path="programs", token_ttl="5m")
    administrator.user("ada", "correct horse", ["some"], path="people")
    vault.audit.reset()

    program = logged_in(vault, "programs/login", role_id=role.role_id, secret_id=role.secret_id)
    person = logged_in(vault, "people/login/ada", password="correct horse")
    with pytest.raises(VaultRefused) as refused:
        logged_in(vault, "people/login/ada", password="wrong")

    assert [300, ["default", "some"]] == [program["lease_duration"], program["policies"]]
    assert 400 == refused.value.status
    assert [program["accessor"]] == [call.accessor for call in vault.audit.logins("programs")]
    assert [person["accessor"], ""] == [call.accessor for call in vault.audit.logins("people")]
    assert ["", "invalid credentials"] == [call.error for call in vault.audit.logins("people")]


def test_a_client_certificate_logs_in(vault: VaultServer, tmp_path):
    clients = Authority()
    vault.administrator.certificate_role("web", clients.ca_pem, [], allowed_common_names=["web"])
    trust = vault.authority.client_context()
    answers = []
    for name in ("web", "other"):
        pair = clients.client(name)
        pem = tmp_path / f"{name}.pem"
        pem.write_text(pair.key + pair.certificate)
        trust.load_cert_chain(pem)
        api = Api(vault.url, vault.ca_pem)
        api._context = trust
        answers.append(api.send("POST", "auth/cert/login", {"name": "web"})[0])

    assert [200, 400] == answers


def test_credentials_of_the_database_end_with_their_lease(vault: VaultServer, postgres: PostgresServer):
    administrator = vault.administrator
    administrator.database("db", postgres)
    administrator.database_role("db", "app", ttl="2m", max_ttl="1h")
    token = administrator.token(administrator.policy("db-app", {"db/creds/app": ["read"]}))
    made = Api(vault.url, vault.ca_pem, token.value).request("GET", "db/creds/app")
    user, password = made["data"]["username"], made["data"]["password"]

    assert (True, 120) == (made["renewable"], made["lease_duration"])
    assert [made["lease_id"]] == administrator.leases("db/creds/app")
    assert [[user]] == postgres.query("SELECT current_user", user=user, password=password)
    assert False is postgres.may_log_in(user, "wrong")

    administrator.revoke_lease(made["lease_id"])

    assert False is postgres.may_log_in(user, password)
    assert (None, []) == (administrator.lease(made["lease_id"]), administrator.leases("db/creds/app"))
    with pytest.raises(Refused):
        postgres.query("SELECT 1", user=user, password=password)


def test_certificates_are_issued_by_the_root_that_was_made(vault: VaultServer):
    root = vault.administrator.pki("pki")
    vault.administrator.pki_role("pki", "web", ttl="30m")

    made = vault.administrator.api.request("POST", "pki/issue/web", {"common_name": "web.example.com"})

    assert root == made["data"]["issuing_ca"]
    assert made["data"]["private_key"].startswith("-----BEGIN EC PRIVATE KEY-----")


def test_a_sealed_vault_says_so_and_keeps_what_it_has():
    with VaultServer() as vault:
        vault.administrator.mount_kv("kept")
        vault.administrator.put("kept", "a", {"b": "c"})
        vault.administrator.seal()
        sealed = vault.administrator.api.send("GET", "kept/data/a")
        vault.administrator.unseal()

        assert (503, b'{"errors":["Vault is sealed"]}\n') == sealed
        assert {"b": "c"} == vault.administrator.read("kept", "a")


OWNER = """
import os, signal, psutil
from keyferry.testing.postgres import PostgresServer
from keyferry.testing.vault import VaultServer

vault, postgres = VaultServer().start(), PostgresServer().start()
vault.administrator.database("db", postgres)
plugins = [process.pid for process in psutil.Process(vault.pid).children(recursive=True)]
print(vault.pid, postgres.pid, *plugins, vault._folder, postgres._folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_servers_end_with_the_process_that_started_them():
    """Also when it is killed: no process, file or shared memory of theirs stays, and none of Vault's plugins."""
    done = subprocess.run([sys.executable, "-c", OWNER], capture_output=True, text=True, check=False)
    assert -9 == done.returncode, done.stderr
    *pids, vault_folder, postgres_folder = done.stdout.split()
    assert 3 == len(pids)

    eventually(lambda: not any(_runs(int(pid)) for pid in pids), timeout_s=30.0)
    eventually(lambda: not Path(vault_folder).exists() and not Path(postgres_folder).exists())
    shared = Path("/proc/sysvipc/shm")  # Linux tells whose it is
    segments = shared.read_text().splitlines()[1:] if shared.exists() else []
    assert [] == [line for line in segments if line.split()[4] == pids[1]]


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
