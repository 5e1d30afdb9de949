"""What leaves for a Vault, and for which: tokens, proxies' logins, the operator's own identity."""

from __future__ import annotations

import asyncio
import base64
import socket

import pytest

from keyferry.errors import AuthFailed, ForbiddenError, NotReadyError, SpecError, Unavailable
from keyferry.ports import AmbientIdentity, Read
from keyferry.testing.leaks import canary
from keyferry.testing.vaulttenant import ACCOUNT_NAME

VALUE = canary("vault-trust")
OWN = {"kubernetes": {"role": "app"}}
APP = {"kubernetes": {"role": "app", "serviceAccountRef": {"name": ACCOUNT_NAME}}}


@pytest.fixture(autouse=True)
def surroundings(team, cluster, monkeypatch):
    import os

    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    team.put("db", v=VALUE)
    cluster.put_service_account("team-a", ACCOUNT_NAME)
    cluster.put_service_account(*cluster.own)
    # A login with it fails here, where no cluster is known: what counts is which token was asked for.
    cluster.issue = lambda subject, audiences: f"token of {subject} for {','.join(audiences)}"


async def login(ask, store, provider):
    error = await ask(store, "db", provider=provider)
    assert isinstance(error, AuthFailed)
    return error


# -- audiences of ServiceAccount tokens


async def test_service_accounts_token_is_for_vault_and_not_for_the_api_server(team, ask, provider, cluster):
    error = await login(ask, team.store(auth=APP), provider)

    assert [("team-a", ACCOUNT_NAME, ("vault",), 600)] == cluster.tokens
    assert 'The token has the audience "vault"' in error.hint
    for way_out in ("audience=vault", "serviceAccountRef.audiences", "--trusted-vaults"):
        assert way_out in error.hint


async def test_audiences_of_the_manifest_are_those_of_the_token(team, ask, provider, cluster):
    reference = {"name": ACCOUNT_NAME, "audiences": ["mine", "yours"]}
    auth = {"kubernetes": {"role": "app", "serviceAccountRef": reference}}

    error = await login(ask, team.store(auth=auth), provider)

    assert [("team-a", ACCOUNT_NAME, ("mine", "yours"), 600)] == cluster.tokens
    assert "--trusted-vaults" not in error.hint


async def test_trusted_vault_gets_the_api_servers_audience(team, ask, make_provider, cluster):
    """As the reference operator does everywhere."""
    provider = make_provider("127.0.0.1", trusted=[team.server])

    await login(ask, team.store(auth=APP), provider)

    assert [("team-a", ACCOUNT_NAME, (cluster.audience,), 600)] == cluster.tokens


async def test_audience_of_the_api_server_is_for_trusted_vaults_alone(team, ask, make_provider, cluster):
    reference = {"name": ACCOUNT_NAME, "audiences": [cluster.audience]}
    store = team.store(auth={"kubernetes": {"role": "app", "serviceAccountRef": reference}})
    jwt = {
        "kubernetesServiceAccountToken": {
            "serviceAccountRef": {"name": ACCOUNT_NAME},
            "audiences": [cluster.audience],
        }
    }

    for one in (store, team.store(auth={"jwt": {"role": "app", **jwt}})):
        with pytest.raises(ForbiddenError, match="API server"):
            raise await ask(one, "db", provider=make_provider("127.0.0.1"))
    assert [] == cluster.tokens
    await login(ask, store, make_provider("127.0.0.1", trusted=[team.server]))
    assert [("team-a", ACCOUNT_NAME, (cluster.audience,), 600)] == cluster.tokens


# -- the operator's own identity


@pytest.mark.parametrize("ambient", list(AmbientIdentity))
@pytest.mark.parametrize("trusted", [False, True], ids=["untrusted", "trusted"])
@pytest.mark.parametrize("of", ["team-a", ""], ids=["SecretStore", "ClusterSecretStore"])
async def test_own_identity_is_shown_to_whom_the_platform_trusts(
    *, team, ask, make_provider, cluster, ambient, trusted, of
):
    provider = make_provider("127.0.0.1", ambient=ambient, trusted=[team.server] if trusted else [])
    store = team.store(auth=OWN, of=of)
    may = ambient is AmbientIdentity.ALL and (trusted or not of)
    may = may or (ambient is AmbientIdentity.CLUSTER and not of)

    if may:
        await login(ask, store, provider)
        audience = cluster.audience if trusted and not of else "vault"
        assert [(*cluster.own, (audience,), 600)] == cluster.tokens
    else:
        with pytest.raises(ForbiddenError, match="names no identity of its own"):
            provider.check(store)
        assert [] == cluster.tokens


@pytest.mark.parametrize("method", ["iam", "gcp"])
def test_own_cloud_identity_follows_the_same_rule(team, make_provider, method):
    auth = {"iam": {"vaultRole": "app"}} if method == "iam" else {"gcp": {"role": "app"}}
    untrusted, trusted = make_provider("127.0.0.1"), make_provider("127.0.0.1", trusted=[team.server])

    with pytest.raises(ForbiddenError, match="a Vault that a namespace chooses"):
        untrusted.check(team.store(auth=auth))
    assert untrusted.check(team.store(auth=auth, of="")) is None
    assert trusted.check(team.store(auth=auth)) is None


async def test_operator_without_an_account_has_nothing_to_show(team, ask, make_provider, cluster):
    provider = make_provider("127.0.0.1", trusted=[team.server])
    cluster.own = None

    with pytest.raises(NotReadyError):
        await ask(team.store(auth=OWN), "db", provider=provider)


# -- addresses


@pytest.mark.parametrize(
    "server",
    [
        "https://127.0.0.1:8200",
        "https://localhost:8200",
        "https://[::1]:8200",
        "https://169.254.169.254",
        "https://metadata.google.internal",
        "https://2130706433",
        "https://0:8200",
    ],
)
async def test_address_that_is_not_for_stores_is_refused(team, ask, make_provider, server):
    provider = make_provider()

    with pytest.raises(ForbiddenError):
        raise await ask(team.store(server=server), "db", provider=provider)


@pytest.mark.parametrize(
    "server",
    [
        "",
        " ",
        "ftp://vault.example.com",
        "https://user:pass@vault.example.com",
        "https://vault.example.com/?a=b",
        "https://vault.example.com/#x",
        "https://",
        "https://vault.example.com:x",
    ],
)
def test_address_that_is_none_is_refused(team, provider, server):
    with pytest.raises(SpecError):
        provider.check(team.store(server=server))


@pytest.mark.parametrize("path", ["", "/", "../sys", "a/../b", "a?b", "a//b", "a b"])
def test_mount_that_leads_elsewhere_is_refused(team, provider, path):
    with pytest.raises(SpecError):
        provider.check(team.store(path=path))
    with pytest.raises(SpecError):
        provider.check(team.store(auth={"kubernetes": {"role": "app", "mountPath": path or "/"}}))


# -- surroundings


async def test_login_of_the_operators_netrc_is_not_sent(proxied, ask, vault_proxy, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login a password {canary('netrc')}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    assert VALUE in await ask(proxied.store(), "db")

    assert [] == [call for call in vault_proxy.asked() if "authorization" in call.headers]


async def test_authorities_of_other_settings_are_not_believed(team, ask, monkeypatch, tmp_path):
    (tmp_path / "ca.pem").write_text(team.ca_pem)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "VAULT_CACERT"):
        monkeypatch.setenv(name, str(tmp_path / "ca.pem"))
    monkeypatch.setenv("VAULT_TOKEN", canary("ambient-token"))
    monkeypatch.setenv("VAULT_ADDR", team.server)
    monkeypatch.setenv("VAULT_NAMESPACE", "elsewhere")

    error = await ask(team.store(caBundle=None), "db")

    assert isinstance(error, Unavailable)
    assert "no trusted connection" in error.message


async def test_proxy_of_the_environment_is_asked_for_a_tunnel_with_its_own_login(team, ask, monkeypatch):
    """And sees nothing of what goes to Vault."""
    seen = []

    async def tunnel(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        seen.append(request.decode())
        host, port = request.split()[1].decode().split(":")
        there, out = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pass_on(reader, out), _pass_on(there, writer))

    async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("https_proxy", f"http://us:er@127.0.0.1:{port}")

        assert VALUE in await ask(team.store(), "db")

        assert seen
        login = base64.b64encode(b"us:er").decode()
        assert all(text.startswith("CONNECT 127.0.0.1:") and login in text for text in seen)
        assert not any("x-vault-token" in text.lower() for text in seen)


async def _pass_on(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_proxy_is_asked_for_nothing_that_names_the_own_network(team, make_provider, ask, monkeypatch):
    asked = []

    async def note(reader, writer):
        asked.append(await reader.read(100))
        writer.close()

    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: resolve(
            "127.0.0.1" if host == "inside.example.com" else host, *rest, **more
        ),
    )
    async with await asyncio.start_server(note, "127.0.0.2", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("https_proxy", f"http://127.0.0.2:{port}")

        with pytest.raises(ForbiddenError, match="this machine"):
            raise await ask(
                team.store(server="https://inside.example.com:8200"), "db", provider=make_provider()
            )

    assert [] == asked


async def test_name_that_only_the_proxy_knows_is_looked_up_once(*, team, connect, provider, kit, monkeypatch):
    """Where nobody answers, each look takes long."""
    asked, resolve = [], socket.getaddrinfo

    def look_up(host, *rest, **more):
        if host == "inside.example.com":
            asked.append(host)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return resolve(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    client = await connect(provider, team.store(server="https://inside.example.com:8200"))

    errors = [await kit.answer(client, Read("db")) for _ in range(3)]

    assert all("cannot be reached through the proxy" in error.message for error in errors)
    assert 1 == len(asked)


async def test_proxy_that_is_not_there_is_told(team, ask, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")

    error = await ask(team.store(), "db")

    assert "cannot be reached through the proxy" in error.message


# -- what is kept


async def test_nothing_shows_what_proves_the_identity(team, provider, connect, cluster, leaks):
    cluster.put_secret("team-a", "token", token=canary("vault-static-token"))
    store = team.store(auth={"tokenSecretRef": {"name": "token", "key": "token"}})
    identity = await provider.identify(store, "team-a", cluster)
    client = await provider.connect(identity)

    (connection,) = provider.vaults.connections.values()
    try:
        (answer,) = await client.read([Read("db")])
    except Exception as error:  # noqa: BLE001 - shown to the detector, whatever it is
        answer = error
    shown = f"{identity!r} {identity.material!r} {client!r} {connection!r} {connection.__dict__!r} {answer!r}"
    await client.close()

    assert [] == leaks.look("identity", shown)


async def test_failure_keeps_no_frame_with_a_token(team, ask, cluster):
    """Frames hold the request: an error that is kept with its traceback would keep the token."""
    cluster.put_secret("team-a", "token", token=canary("vault-kept-token"))
    store = team.store(auth={"tokenSecretRef": {"name": "token", "key": "token"}})

    error = await ask(store, "db")

    chain, held = [error], []
    while chain:
        one = chain.pop()
        held += [type(one).__module__]
        chain += [inner for inner in (one.__cause__, one.__context__) if inner is not None]
    assert [] == [name for name in held if not name.startswith("keyferry.")]
