from __future__ import annotations

import base64
import stat
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from keyferry.errors import KubeError
from keyferry.kube.config import (
    TOKEN_REREAD_S,
    ClusterConfig,
    TokenSource,
    file_token,
    from_kubeconfig,
    in_cluster,
    load_config,
)

CANARY = "hunter2"


def kubeconfig(folder: Path, user=None, cluster=None, **document) -> Path:
    """A kubeconfig with one of each."""
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443/"} | (cluster or {})}],
        "users": [{"name": "u", "user": user or {}}],
    } | document
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(text))
    return path


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class TestInCluster:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch) -> Path:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
        for name, content in {"ca.crt": "CA", "namespace": "keyferry\n", "token": "one\n"}.items():
            (tmp_path / name).write_text(content)
        return tmp_path

    def test_files_and_environment_of_the_pod(self, folder) -> None:
        config = in_cluster(folder)

        assert ("https://10.0.0.1:6443", "CA", "keyferry") == (config.server, config.ca_pem, config.namespace)
        assert "one" == config.tokens.token()

    def test_address_of_the_sixth_version_is_bracketed(self, folder, monkeypatch) -> None:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
        monkeypatch.delenv("KUBERNETES_SERVICE_PORT")

        assert "https://[fd00::1]:443" == in_cluster(folder).server

    def test_missing_file_is_told(self, folder) -> None:
        (folder / "ca.crt").unlink()

        with pytest.raises(KubeError, match="service account files cannot be read: No such file"):
            in_cluster(folder)


class TestTokens:
    def test_token_that_rotates_is_read_again_in_time_and_not_before(self, tmp_path, monkeypatch) -> None:
        now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: now)
        path = tmp_path / "token"
        path.write_text("one")
        tokens = file_token(path)
        assert "one" == tokens.token()
        path.write_text("two")

        now += TOKEN_REREAD_S - 1
        assert "one" == tokens.token()
        now += 1
        assert "two" == tokens.token()

    def test_refused_token_is_read_again_at_once(self, tmp_path) -> None:
        path = tmp_path / "token"
        path.write_text("one")
        tokens = file_token(path)
        tokens.token()
        path.write_text("two")

        assert "two" == tokens.token(fresh=True)
        assert "two" == tokens.token()

    def test_token_is_not_shown(self) -> None:
        config = ClusterConfig(
            "https://x",
            tokens=TokenSource(lambda: (CANARY, 1.0)),
            basic=("u", CANARY),
            client_certificate=("C", CANARY),
            proxy=f"http://u:{CANARY}@proxy",
        )
        config.tokens.token()

        assert CANARY not in f"{config!r} {config} {config.tokens!r}"


class TestKubeconfig:
    def test_minimal(self, tmp_path) -> None:
        config = from_kubeconfig(kubeconfig(tmp_path))

        assert ClusterConfig("https://api.example:6443", namespace="team-a") == config

    def test_named_context_goes_before_the_current_one(self, tmp_path) -> None:
        contexts = [
            {"name": "main", "context": {"cluster": "c", "user": "u"}},
            {"name": "other", "context": {"cluster": "c", "namespace": "there"}},
        ]
        path = kubeconfig(tmp_path, contexts=contexts)

        assert ("default", "there") == tuple(
            from_kubeconfig(path, name).namespace for name in (None, "other")
        )

    @pytest.mark.parametrize("user", [{"token": "t0k"}, {"token": 12345}], ids=["text", "digits"])
    def test_token(self, tmp_path, user) -> None:
        assert str(user["token"]) == from_kubeconfig(kubeconfig(tmp_path, user)).tokens.token()

    def test_token_file_goes_before_the_token_and_is_relative_to_the_kubeconfig(self, tmp_path) -> None:
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "token").write_text("from file\n")
        path = kubeconfig(tmp_path, {"token": "inline", "tokenFile": "secrets/token"})

        assert "from file" == from_kubeconfig(path).tokens.token()

    @pytest.mark.parametrize("how", ["inline", "relative", "absolute"])
    def test_certificates(self, tmp_path, how) -> None:
        parts = {"certificate-authority": "CA", "client-certificate": "CERT", "client-key": "KEY"}
        if how == "inline":
            entries = {f"{name}-data": encoded(text) for name, text in parts.items()}
        else:
            for name, text in parts.items():
                (tmp_path / f"{name}.pem").write_text(text)
            base = f"{tmp_path}/" if how == "absolute" else ""
            entries = {name: f"{base}{name}.pem" for name in parts}
        cluster = {name: value for name, value in entries.items() if "authority" in name}
        user = {name: value for name, value in entries.items() if "client" in name}

        config = from_kubeconfig(kubeconfig(tmp_path, user, cluster))

        assert ("CA", ("CERT", "KEY")) == (config.ca_pem, config.client_certificate)

    def test_inline_data_goes_before_the_file(self, tmp_path) -> None:
        cluster = {"certificate-authority": "not there", "certificate-authority-data": encoded("CA")}

        assert "CA" == from_kubeconfig(kubeconfig(tmp_path, cluster=cluster)).ca_pem

    def test_insecure_basic_and_proxy(self, tmp_path) -> None:
        cluster = {"insecure-skip-tls-verify": True, "proxy-url": "http://proxy:3128"}
        config = from_kubeconfig(kubeconfig(tmp_path, {"username": "me", "password": 42}, cluster))

        assert (True, ("me", "42"), "http://proxy:3128") == (
            config.insecure,
            config.basic,
            config.proxy_url(),
        )

    @pytest.mark.parametrize(
        ("user", "cluster", "named"),
        [
            ({"as": "admin"}, {}, "as"),
            ({"auth-provider": {"name": "oidc"}}, {}, "auth-provider"),
            ({}, {"tls-server-name": "x"}, "tls-server-name"),
            ({}, {"proxy-url": f"socks5://u:{CANARY}@proxy"}, "proxy-url"),
        ],
    )
    def test_what_is_not_supported_is_told_and_not_left_out(self, tmp_path, user, cluster, named) -> None:
        with pytest.raises(KubeError, match=named) as caught:
            from_kubeconfig(kubeconfig(tmp_path, user, cluster))

        assert CANARY not in str(caught.value)

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(f"token: {CANARY}: [", id="no YAML"),
            pytest.param(f"- {CANARY}", id="a list"),
            pytest.param("", id="empty"),
            pytest.param(CANARY, id="a word"),
            pytest.param(
                yaml.safe_dump({"current-context": "m", "contexts": [{"name": "m", "context": CANARY}]}),
                id="a word for a context",
            ),
            pytest.param(
                yaml.safe_dump(
                    {"current-context": "m", "contexts": [{"name": "m", "context": {"user": "u"}}]}
                ),
                id="no cluster",
            ),
            pytest.param(
                yaml.safe_dump(
                    {
                        "current-context": "m",
                        "contexts": [{"name": "m", "context": {"cluster": "c"}}],
                        "clusters": [
                            {
                                "name": "c",
                                "cluster": {"server": "s", "certificate-authority-data": f"*{CANARY}"},
                            }
                        ],
                    }
                ),
                id="data that is no base64",
            ),
        ],
    )
    def test_malformed_file_is_told_without_its_content(self, tmp_path, content) -> None:
        path = tmp_path / "kubeconfig"
        path.write_text(content)

        with pytest.raises(KubeError) as caught:
            from_kubeconfig(path)

        told = f"{caught.value} {caught.value.__cause__} {caught.value.__context__ if not caught.value.__suppress_context__ else ''}"
        assert CANARY not in told
        assert str(path) in told or "kubeconfig" in told

    @pytest.mark.parametrize("missing", ["contexts", "clusters", "users"])
    def test_missing_entry_is_named(self, tmp_path, missing) -> None:
        with pytest.raises(KubeError, match=f"has no {missing[:-1]}"):
            from_kubeconfig(kubeconfig(tmp_path, **{missing: None}))


class TestExecPlugin:
    """Real programs; the protocol is client.authentication.k8s.io."""

    @pytest.fixture
    def plugin(self, tmp_path):
        """Makes a kubeconfig whose plugin is this Python text."""

        def make(text: str, **spec) -> Path:
            program = tmp_path / "plugin"
            program.write_text(f"#!{sys.executable}\nimport json, os, sys\n{text}\n")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            api = "client.authentication.k8s.io/v1"
            return kubeconfig(tmp_path, {"exec": {"apiVersion": api, "command": str(program)} | spec})

        return make

    def test_token_arguments_and_environment(self, plugin) -> None:
        text = """
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert info["kind"] == "ExecCredential" and info["spec"]["interactive"] is False
assert sys.stdin.read() == ""
token = "-".join([*sys.argv[1:], os.environ["PLUGIN_SAYS"], info["apiVersion"]])
print(json.dumps({"kind": "ExecCredential", "status": {"token": token}}))
"""
        path = plugin(text, args=["get", "token"], env=[{"name": "PLUGIN_SAYS", "value": "hi"}])

        assert "get-token-hi-client.authentication.k8s.io/v1" == from_kubeconfig(path).tokens.token()

    def test_path_is_relative_to_the_kubeconfig(self, plugin, monkeypatch) -> None:
        monkeypatch.chdir("/")
        path = plugin('print(json.dumps({"status": {"token": "t"}}))', command="./plugin")

        assert "t" == from_kubeconfig(path).tokens.token()

    @pytest.mark.parametrize("zone", ["Z", "+00:00"])
    def test_token_is_renewed_before_it_expires(self, plugin, tmp_path, monkeypatch, zone) -> None:
        ends = datetime.now(UTC) + timedelta(seconds=300)
        status = {"expirationTimestamp": f"{ends:%Y-%m-%dT%H:%M:%S}{zone}"}
        counter = tmp_path / "count"
        counter.write_text("")
        text = f"""
with open({str(counter)!r}, "a") as file:
    file.write("x")
print(json.dumps({{"status": {status!r} | {{"token": str(os.stat({str(counter)!r}).st_size)}}}}))
"""
        now = 1000.0
        monkeypatch.setattr("keyferry.kube.config.time.monotonic", lambda: now)
        tokens = from_kubeconfig(plugin(text)).tokens
        assert "1" == tokens.token()
        now += 230
        assert "1" == tokens.token()
        now += 20
        assert "2" == tokens.token()

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(f"sys.exit('{CANARY}')", id="fails"),
            pytest.param(f"print('{CANARY}')", id="no JSON"),
            pytest.param(f"print(json.dumps({{'status': '{CANARY}'}}))", id="no status"),
            pytest.param(f"print(json.dumps({{'status': {{'clientKeyData': '{CANARY}'}}}}))", id="no token"),
            pytest.param(
                f"print(json.dumps({{'status': {{'token': '{CANARY}', 'expirationTimestamp': 'soon {CANARY}'}}}}))",
                id="no time",
            ),
        ],
    )
    def test_failure_is_told_with_the_hint_and_without_any_output(self, plugin, text) -> None:
        tokens = from_kubeconfig(plugin(text, installHint="install it so")).tokens

        with pytest.raises(KubeError) as caught:
            tokens.token()

        assert "credential plugin" in str(caught.value)
        assert str(caught.value).endswith("install it so")
        assert CANARY not in f"{caught.value!r} {caught.value}"
        assert caught.value.__suppress_context__

    def test_missing_program_and_missing_fields_are_told(self, tmp_path) -> None:
        for spec in (
            {"command": "/nonexistent/plugin", "apiVersion": "v1"},
            {"command": "x"},
            {"apiVersion": "v1"},
        ):
            tokens = from_kubeconfig(kubeconfig(tmp_path, {"exec": spec})).tokens
            with pytest.raises(KubeError, match="credential plugin"):
                tokens.token()


class TestWhereItIsLookedFor:
    @pytest.fixture(autouse=True)
    def nowhere(self, tmp_path, monkeypatch) -> None:
        monkeypatch.delenv("KUBECONFIG", raising=False)
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))

    def test_nowhere(self) -> None:
        with pytest.raises(KubeError, match="no API server is configured"):
            load_config()

    def test_given_file_goes_before_the_environment(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("KUBECONFIG", "/nonexistent")

        assert "https://api.example:6443" == load_config(str(kubeconfig(tmp_path))).server

    def test_first_file_of_the_environment_that_exists(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("KUBECONFIG", f"/nonexistent:{kubeconfig(tmp_path)}")

        assert "https://api.example:6443" == load_config().server

    def test_given_file_may_have_a_colon_in_its_name(self, tmp_path) -> None:
        folder = tmp_path / "a:b"
        folder.mkdir()

        assert "https://api.example:6443" == load_config(str(kubeconfig(folder))).server

    def test_given_file_that_is_not_there_is_told(self) -> None:
        with pytest.raises(KubeError, match="'/nonexistent' does not exist"):
            load_config("/nonexistent")

    def test_home(self, tmp_path) -> None:
        (tmp_path / ".kube").mkdir()
        kubeconfig(tmp_path).rename(tmp_path / ".kube" / "config")

        assert "https://api.example:6443" == load_config().server

    def test_pod_goes_before_home(self, monkeypatch) -> None:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")

        with pytest.raises(KubeError, match="service account files"):
            load_config()


class TestProxy:
    @pytest.fixture(autouse=True)
    def clean(self, monkeypatch) -> None:
        for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)

    @pytest.mark.parametrize(
        ("server", "no_proxy", "expected"),
        [
            ("https://api.example:6443", "", "http://proxy:3128"),
            ("https://api.example:6443", "other,api.example", None),
            ("https://api.example:6443", ".example", None),
            ("https://10.96.0.1:443", "10.96.0.0/12,.svc", None),
            ("https://10.96.0.1:443", "10.96.0.1", None),
            ("https://10.112.0.1:443", "10.96.0.0/12,.svc", "http://proxy:3128"),
            ("https://[fd00::1]:443", "fd00::/8", None),
            ("http://127.0.0.1:8001", "", None),
            ("https://api.example:6443", "nonsense/99,,", "http://proxy:3128"),
        ],
    )
    def test_environment(self, monkeypatch, server, no_proxy, expected) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
        monkeypatch.setenv("NO_PROXY", no_proxy)

        assert expected == ClusterConfig(server).proxy_url()

    def test_own_proxy_goes_before_the_environment(self, monkeypatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")

        assert "http://own:1" == ClusterConfig("https://x", proxy="http://own:1").proxy_url()
