"""The control plane's folder, keys and tokens: for their owner alone, and the same after a restart."""

import os
import shutil
import ssl
import stat

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from keyferry.localcluster import LocalClusterError, controlplane
from keyferry.localcluster.kubeconfig import write_kubeconfig
from keyferry.localcluster.layout import Layout


@pytest.fixture
def layout(tmp_path):
    return Layout.at(tmp_path / "plane")


def modes(folder):
    return {path: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [folder, *folder.rglob("*")]}


def test_nobody_else_can_read_anything(layout):
    old = os.umask(0)
    try:
        layout.pki.create("10.96.0.1")
        layout.bearer_tokens(["admin"], group="system:masters")
        write_kubeconfig(layout.kubeconfig, server="https://x", ca_pem="ca", user="admin", token="t")
    finally:
        os.umask(old)

    assert {path.name for path, mode in modes(layout.folder).items() if mode} == set()


def test_temporary_folder_is_private_too():
    layout = Layout.in_temporary_folder()
    mode = stat.S_IMODE(layout.folder.stat().st_mode)
    shutil.rmtree(layout.folder)

    assert mode == 0o700
    assert layout.temporary


def test_existing_empty_folder_is_made_private(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)

    layout = Layout.at(tmp_path / "open")

    assert stat.S_IMODE(layout.folder.stat().st_mode) == 0o700


def test_folder_with_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes").write_text("mine")

    with pytest.raises(LocalClusterError) as caught:
        Layout.at(tmp_path)

    assert caught.value.message == f'the folder "{tmp_path}" holds something else'
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_folder_of_a_start_that_failed_is_used_again(tmp_path):
    first = Layout.at(tmp_path / "plane")

    assert Layout.at(tmp_path / "plane").folder == first.folder


def test_file_in_the_place_of_a_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(LocalClusterError) as caught:
        Layout.at(tmp_path / "file")

    assert caught.value.message.startswith(f'cannot use the folder "{tmp_path / "file"}": ')


def test_tokens_are_made_once_and_differ(layout):
    first = layout.bearer_tokens(["admin", "controllers"], group="system:masters")
    again = layout.bearer_tokens(["admin", "controllers"], group="system:masters")

    assert first == again
    assert len({*first.values()}) == 2
    assert min(map(len, first.values())) >= 40


def test_keys_are_made_once(layout):
    layout.pki.create("10.96.0.1")
    before = {path.name: path.read_bytes() for path in layout.pki.folder.iterdir()}
    layout.pki.create("10.96.0.1")

    assert {path.name: path.read_bytes() for path in layout.pki.folder.iterdir()} == before


def test_certificate_is_signed_for_every_name_that_clients_use(layout):
    layout.pki.create(controlplane.SERVICE_ADDRESS)
    authority = x509.load_pem_x509_certificate(layout.pki.ca.read_bytes())
    server = x509.load_pem_x509_certificate(layout.pki.server_certificate.read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    server.verify_directly_issued_by(authority)
    assert {str(address) for address in names.get_values_for_type(x509.IPAddress)} == {
        "127.0.0.1",
        "::1",
        "10.96.0.1",
    }
    assert {"localhost", "kubernetes.default.svc"} <= set(names.get_values_for_type(x509.DNSName))
    ssl.create_default_context(cafile=str(layout.pki.ca))


def test_private_key_of_the_authority_is_not_kept(layout):
    layout.pki.create("10.96.0.1")
    authority = x509.load_pem_x509_certificate(layout.pki.ca.read_bytes()).public_key()
    keys = [
        serialization.load_pem_private_key(path.read_bytes(), None).public_key()
        for path in layout.pki.folder.glob("*.key")
    ]

    assert len(keys) == 2
    assert authority not in keys


def test_kubeconfig_holds_a_token_where_measuring_tools_read_it(layout):
    write_kubeconfig(
        layout.kubeconfig, server="https://127.0.0.1:1", ca_pem="ca", user="admin", token="t", namespace="a"
    )
    config = yaml.safe_load(layout.kubeconfig.read_text())

    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert config["users"][0]["user"] == {"token": "t"}
    assert config["contexts"][0]["context"]["namespace"] == "a"
    assert config["current-context"] == config["contexts"][0]["name"]


def test_port_of_the_last_run_is_remembered(layout):
    before = layout.last_port()
    layout.remember_port(40123)

    assert (before, layout.last_port()) == (0, 40123)


def test_api_server_listens_on_loopback_and_limits_nothing(layout):
    """Measurements on it must mean something: no flag throttles, audits or drops admission."""
    arguments = controlplane.apiserver_arguments("kube-apiserver", layout, 40123)
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments[1:])

    assert flags["bind-address"] == "127.0.0.1"
    assert flags["authorization-mode"] == "RBAC"
    assert not [name for name in flags if "inflight" in name or "audit" in name or "admission" in name]
    assert "enable-priority-and-fairness" not in flags
