"""Where requests may go, which Secrets they may hold, whom they believe, and who shares their answers."""

from __future__ import annotations

import base64

import pytest

from keyferry.errors import ForbiddenError, KeyferryError, KubeNotFound, SpecError, Unavailable
from keyferry.testing.issuer import certificates
from keyferry.testing.leaks import canary
from keyferry.testing.webhook import WebhookDouble

# -- addresses


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "metadata.google.internal"]
)
def test_address_is_refused_as_it_is_written(make_provider, view_of, host):
    with pytest.raises(ForbiddenError, match=r"^spec\.provider\.webhook\.url"):
        make_provider().check(view_of(url=f"http://{host}/{{{{ .remoteRef.key }}}}"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "metadata.google.internal"]
)
async def test_address_is_refused_as_it_is_rendered(
    *, make_provider, connect, cluster, view_of, failure_of, webhook_server, host
):
    """The host may be a secret value, and is not shown."""
    view = view_of(url=f"http://{{{{ .auth.host }}}}:{webhook_server.port}/")
    cluster.put_secret("team-a", "webhook", token=canary("webhook-token"), host=host)
    client = await connect(make_provider(), view)

    failure = await failure_of(client)

    assert ForbiddenError is type(failure)
    assert (
        "spec.provider.webhook.url: the host that spec.provider.webhook.url makes is none that may be connected to"
        == failure.message
    )
    assert host not in str(failure)
    assert [] == webhook_server.calls


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1"])
async def test_address_in_another_notation_leads_nowhere(
    *, make_provider, connect, cluster, view_of, failure_of, webhook_server, host
):
    """Resolvers read these as 127.0.0.1."""
    view = view_of(url=f"http://{{{{ .auth.host }}}}:{webhook_server.port}/")
    cluster.put_secret("team-a", "webhook", token=canary("webhook-token"), host=host)

    failure = await failure_of(await connect(make_provider(), view))

    assert isinstance(failure, ForbiddenError | SpecError)
    assert host not in str(failure)
    assert [] == webhook_server.calls


async def test_host_that_a_secret_makes_is_not_shown(
    *, client_of, failure_of, cluster, leaks, webhook_server
):
    cluster.put_secret("team-a", "webhook", token=canary("webhook-token"), host=f"{canary('host')}.invalid")
    client = await client_of(url="http://{{ .auth.host }}/")

    failure = await failure_of(client)

    assert Unavailable is type(failure)
    assert "the name of Webhook at the host that spec.provider.webhook.url makes cannot be resolved" in str(
        failure
    )
    assert [] == leaks.look_at_error("failure", failure)


async def test_validation_goes_where_requests_may_go(
    make_provider, connect, view_of, webhook_server, monkeypatch
):
    import socket

    real = socket.getaddrinfo

    def look_up(host, *args, **kwargs):
        return real("127.0.0.1" if host == "inside.example.com" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    view = view_of(url=f"http://inside.example.com:{webhook_server.port}/")
    client = await connect(make_provider(), view)

    with pytest.raises(ForbiddenError, match=r"inside\.example\.com"):
        await client.validate()


# -- Secrets


@pytest.mark.parametrize("labels", [{}, {"type": "other"}, {"webhook": "true"}])
async def test_secret_without_the_label_is_refused_by_name(
    *, provider, cluster, view_of, webhook_server, labels
):
    view = view_of()
    cluster.label_secret("team-a", "webhook", **labels)

    with pytest.raises(ForbiddenError) as failure:
        await provider.identify(view, "team-a", cluster)

    assert (
        'spec.provider.webhook.secrets[0].secretRef: Secret "team-a/webhook" has no label '
        '"external-secrets.io/type: webhook"' == failure.value.message
    )
    assert [] == webhook_server.calls


async def test_secret_that_is_not_there_is_named(provider, cluster, view_of):
    secrets = [{"name": "auth", "secretRef": {"name": "absent"}}]

    with pytest.raises(KubeNotFound, match='Secret "team-a/absent" does not exist'):
        await provider.identify(view_of(secrets=secrets), "team-a", cluster)


@pytest.mark.parametrize(("store", "kind"), [("team-a", "SecretStore"), ("", "ClusterSecretStore")])
async def test_secret_is_looked_for_where_the_store_may_have_it(provider, cluster, view_of, store, kind):
    """In the store's own namespace, in the one that a cluster store names, or in the ExternalSecret's."""
    cluster.put_secret("team-b", "webhook", token=canary("team-b"))
    cluster.label_secret("team-b", "webhook", type="webhook")
    view = view_of(namespace=store)

    material = (await provider.identify(view, "team-b", cluster)).material

    expected = canary("webhook-token") if kind == "SecretStore" else canary("team-b")
    assert expected.encode() == material.data(None)[b"auth"][b"token"]
    assert provider.referent(view) is (kind == "ClusterSecretStore")


async def test_cluster_store_that_names_a_namespace_is_one_for_all(provider, cluster, view_of):
    secrets = [{"name": "auth", "secretRef": {"name": "webhook", "namespace": "team-a"}}]
    view = view_of(namespace="", secrets=secrets)

    one, other = [await provider.identify(view, namespace, cluster) for namespace in ("", "team-b")]

    assert provider.referent(view) is False
    assert one.fingerprint == other.fingerprint


async def test_two_secrets_of_one_name_are_put_together(provider, cluster, view_of):
    """The later one wins where both have a key, as with the reference operator."""
    cluster.put_secret("team-a", "more", token="later", other="x")
    cluster.label_secret("team-a", "more", type="webhook")
    secrets = [{"name": "auth", "secretRef": {"name": name}} for name in ("webhook", "more")]

    material = (await provider.identify(view_of(secrets=secrets), "team-a", cluster)).material

    assert {b"token": b"later", b"other": b"x"} == material.data(None)[b"auth"]


async def test_material_does_not_show_itself(provider, cluster, view_of, leaks):
    identity = await provider.identify(view_of(), "team-a", cluster)

    assert [] == leaks.look("identity", f"{identity!r} {identity.material!r} {identity.material}")


# -- identity


CHANGES = [
    pytest.param({"url": "https://example.com/x"}, id="url"),
    pytest.param({"method": "POST"}, id="method"),
    pytest.param({"body": "x"}, id="body"),
    pytest.param({"headers": {"X": "y"}}, id="headers"),
    pytest.param({"timeout": "1s"}, id="timeout"),
    pytest.param({"result": {"jsonPath": "$.a"}}, id="json-path"),
    pytest.param({"secrets": [{"name": "other", "secretRef": {"name": "webhook"}}]}, id="name-in-templates"),
    pytest.param({"secrets": []}, id="no-secrets"),
]


@pytest.fixture
def fingerprint_of(provider, cluster, view_of):
    async def of(referent="team-a", **changes):
        return (await provider.identify(view_of(**changes), referent, cluster)).fingerprint

    return of


async def test_equal_stores_have_equal_fingerprints(fingerprint_of):
    assert await fingerprint_of() == await fingerprint_of()


@pytest.mark.parametrize("change", CHANGES)
async def test_stores_that_differ_share_nothing(fingerprint_of, change):
    assert await fingerprint_of() != await fingerprint_of(**change)


async def test_stores_whose_secrets_differ_share_nothing(fingerprint_of, cluster):
    before = await fingerprint_of()
    cluster.put_secret("team-a", "webhook", token="another")

    assert before != await fingerprint_of()


async def test_equal_secrets_of_two_namespaces_are_two(fingerprint_of, cluster):
    cluster.put_secret("team-b", "webhook", token=canary("webhook-token"))
    cluster.label_secret("team-b", "webhook", type="webhook")

    one, other = [await fingerprint_of(namespace="", referent=where) for where in ("team-a", "team-b")]

    assert one != other


# -- authorities


@pytest.fixture
def tls_server(tmp_path):
    """A server with a certificate of its own, and that certificate's CA."""
    pem, context = certificates(tmp_path)
    with WebhookDouble(tls=context) as server:
        server.let_in(canary("webhook-token"))
        server.put("db", "value")
        yield server, pem


@pytest.fixture
def tls_view(toolbox, tls_server, token):
    def make(**changes):
        return toolbox.view("webhook", toolbox.webhook_block(tls_server[0].url, **changes))

    return make


def encoded(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("way", ["bundle", "bundle-encoded-twice", "secret", "config-map"])
async def test_server_is_believed_by_the_authority_of_the_manifest(
    *, provider, connect, cluster, tls_server, tls_view, value_of, way
):
    _, pem = tls_server
    cluster.put_secret("team-a", "ca", **{"ca.crt": pem})
    cluster.put_config_map("team-a", "ca", {"ca.crt": pem})
    changes = {
        "bundle": {"caBundle": encoded(pem)},
        "bundle-encoded-twice": {"caBundle": encoded(encoded(pem))},
        "secret": {"caProvider": {"type": "Secret", "name": "ca", "key": "ca.crt"}},
        "config-map": {"caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt"}},
    }[way]

    assert "value" == await value_of(await connect(provider, tls_view(**changes)))


@pytest.mark.parametrize("of", ["nobody", "another"])
async def test_server_of_another_authority_is_not_believed(
    *, provider, connect, tls_server, tls_view, failure_of, tmp_path, of
):
    other, _ = certificates(tmp_path)
    client = await connect(provider, tls_view(**({"caBundle": encoded(other)} if of == "another" else {})))

    failure = await failure_of(client)

    assert "the certificate of Webhook at 127.0.0.1 is not trusted" in failure.message
    assert "spec.provider.webhook.caBundle" in failure.hint
    assert [] == tls_server[0].asked


async def test_authority_of_one_store_is_not_that_of_another(
    *, provider, connect, tls_server, tls_view, value_of, failure_of
):
    """Connections are shared by those who believe the same alone."""
    believing = await connect(provider, tls_view(caBundle=encoded(tls_server[1])))
    doubting = await connect(provider, tls_view())
    assert "value" == await value_of(believing)

    assert "is not trusted" in (await failure_of(doubting)).message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"caBundle": encoded("x")}, "caBundle is no certificate", id="bundle"),
        pytest.param(
            {"caBundle": encoded("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----")},
            "is no certificate as PEM",
            id="broken-bundle",
        ),
        pytest.param(
            {"caProvider": {"type": "Secret", "name": "ca", "key": "other"}},
            'Secret "team-a/ca" has no certificate under the key "other"',
            id="no-key",
        ),
        pytest.param(
            {"caProvider": {"type": "ConfigMap", "name": "none", "key": "x"}}, "does not exist", id="no-map"
        ),
    ],
)
async def test_authority_that_is_none_is_told(provider, cluster, view_of, changes, words):
    cluster.put_secret("team-a", "ca", **{"ca.crt": "x"})

    with pytest.raises(KeyferryError, match=words) as failure:
        await provider.identify(view_of(**changes), "team-a", cluster)

    assert isinstance(failure.value, SpecError | KubeNotFound)
