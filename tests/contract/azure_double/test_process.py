"""The double is a process that serves soon, ends with its owner, and is reached by names or on loopback."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
import requests
from azure.core.exceptions import ServiceRequestError
from azure.identity import ClientSecretCredential, ManagedIdentityCredential

from keyferry.testing.azure import StrictAzure
from keyferry.testing.eventually import eventually


def gone(pid):
    """Whether the process has ended; one that nobody has asked about since counts as ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_it_is_gone_after_stop_and_its_ca_file_with_it():
    with StrictAzure() as azure:
        pid, port, ca_file = azure.pid, azure.ready.port, azure.ca_file
        assert ca_file.read_text() == azure.ca_pem

    assert gone(pid)
    assert not ca_file.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_a_port_that_is_taken_is_an_error_told_in_its_log(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        log = tmp_path / "azure.log"

        with pytest.raises(RuntimeError, match="did not start"):
            StrictAzure(port=taken.getsockname()[1], log=log).start()

    assert "address already in use" in log.read_text().lower()


OWNER = """
import time
from keyferry.testing.azure import StrictAzure
azure = StrictAzure().start()
print(azure.pid, azure.ca_file, flush=True)
time.sleep(600)
"""


def test_it_ends_when_its_owner_is_killed():
    """No signal lets the owner tidy up."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE) as owner:
        pid, ca_file = owner.stdout.readline().decode().split()
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)

    assert eventually(lambda: gone(int(pid)), every_s=0.01)
    assert not Path(ca_file).exists()


def test_it_ends_on_sigterm():
    azure = StrictAzure().start()
    pid = azure.pid

    os.kill(pid, signal.SIGTERM)

    assert azure._process.wait(10) == 0
    azure.stop()


def test_importing_the_package_loads_nothing_of_microsofts():
    code = "import sys, keyferry.testing.azure; print([m for m in ('azure.core', 'azure.identity', 'msal') if m in sys.modules])"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_proxy_leads_to_the_double_and_nowhere_else(azure, admin, vault, client):
    admin.put_secret(vault, "db", "value")
    client.get_secret("db")
    assert all(call.by_proxy for call in azure.control.calls())

    for host in ("example.com", "other.vault.azure.net", "127.0.0.1", "vault.azure.net"):
        with pytest.raises(requests.exceptions.ProxyError, match="502"):
            requests.get(f"https://{host}/", timeout=5, proxies={"https": azure.proxy})

    assert azure.control.refused_hosts() == [
        "example.com",
        "other.vault.azure.net",
        "127.0.0.1",
        "vault.azure.net",
    ]


def test_the_sdk_cannot_reach_a_vault_that_does_not_exist(admin, client_for):
    admin.managed_identity()

    with pytest.raises(ServiceRequestError):
        client_for("nobody-here", ManagedIdentityCredential()).get_secret("db")


def test_nobody_who_does_not_have_its_ca_believes_it(azure):
    context = ssl.create_default_context(cafile=requests.certs.where())

    with (
        socket.create_connection(("127.0.0.1", azure.ready.port), 5) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="login.microsoftonline.com")


def test_the_control_api_is_for_who_has_its_token(azure):
    request = urllib.request.Request(f"{azure.ready.control}/_keyferry/calls", b"{}", method="POST")

    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=5)

    error.value.close()
    assert error.value.code == 401


def test_the_local_cloud_is_on_loopback_ports_without_a_proxy(azure, client_for, unique, monkeypatch):
    """Its vaults have a port each; the SDK's check of the challenge's domain cannot hold there."""
    monkeypatch.delenv("HTTPS_PROXY")
    admin = azure.administrator("LocalCloud")
    app = admin.create_app(with_secret=True)
    url = admin.create_vault(unique)
    admin.put_secret(unique, "db", "value")
    admin.grant(unique, app, "Key Vault Secrets User")
    login = azure.custom_cloud["activeDirectoryEndpoint"]
    credential = ClientSecretCredential(
        app.tenant, app.client_id, app.secret, authority=login, disable_instance_discovery=True
    )

    client = client_for(unique, credential, url=url, verify_challenge_resource=False)

    assert client.get_secret("db").value == "value"
    assert [one.name for one in client.list_properties_of_secrets()] == ["db"]
    assert not any(call.by_proxy for call in azure.control.calls())
    with pytest.raises(ValueError, match="does not match the requested domain"):
        client_for(unique, credential, url=url).get_secret("db")


def test_two_directories_do_not_see_each_others_apps(azure):
    one, two = azure.administrator(), azure.administrator()
    app = one.create_app(with_secret=True)

    with pytest.raises(Exception, match="AADSTS700016"):
        ClientSecretCredential(two.tenant, app.client_id, app.secret).get_token(
            "https://vault.azure.net/.default"
        )
