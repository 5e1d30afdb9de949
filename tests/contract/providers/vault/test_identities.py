"""Fingerprints of Vault stores: equal where all that decides about access is equal; and what shares a login."""

from __future__ import annotations

import copy

import pytest

from keyferry.testing.authority import Authority

AUTHORITY, OTHER = Authority(), Authority()
METHODS = {
    "token": {"tokenSecretRef": {"name": "keys", "key": "a"}},
    "appRole": {"appRole": {"roleId": "role", "secretRef": {"name": "keys", "key": "a"}}},
    "userPass": {"userPass": {"username": "ada", "secretRef": {"name": "keys", "key": "a"}}},
    "ldap": {"ldap": {"username": "ada", "secretRef": {"name": "keys", "key": "a"}}},
    "jwt": {"jwt": {"role": "app", "secretRef": {"name": "keys", "key": "a"}}},
    "kubernetes": {"kubernetes": {"role": "app", "serviceAccountRef": {"name": "app"}}},
    "cert": {
        "cert": {"clientCert": {"name": "pair", "key": "crt"}, "secretRef": {"name": "pair", "key": "key"}}
    },
}
BASE = {
    "server": "https://vault.example.com:8200",
    "path": "kv",
    "namespace": "org",
    "headers": {"X-Team": "a"},
    "auth": METHODS["appRole"],
}


@pytest.fixture
async def identify(provider, cluster, toolbox):
    """The store's fingerprint and its login's."""
    for namespace in ("team-a", "team-b"):
        cluster.put_secret(namespace, "keys", a="one", b="two")
        cluster.put_service_account(namespace, "app")
        cluster.put_secret(namespace, "pair", **_pair("app"))

    async def of(block, *, store="team-a", namespace="team-a", name="main"):
        view = toolbox.view("vault", block, namespace=store, name=name)
        provider.check(view)
        identity = await provider.identify(view, namespace, cluster)
        return identity.fingerprint, identity.material.identity.fingerprint

    return of


PAIRS = {}


def _pair(name):
    if name not in PAIRS:
        pair = AUTHORITY.client(name)
        PAIRS[name] = {"crt": pair.certificate, "key": pair.key}
    return PAIRS[name]


@pytest.mark.parametrize("method", METHODS)
async def test_equal_stores_are_one_identity(identify, method):
    block = BASE | {"auth": METHODS[method]}

    assert await identify(block) == await identify(copy.deepcopy(block), name="another")


@pytest.mark.parametrize("change", [{"path": "other"}, {"path": None}, {"version": "v1"}], ids=str)
async def test_where_the_engine_is_makes_no_difference_to_the_login(identify, change):
    block = {key: value for key, value in (BASE | change).items() if value is not None}

    (one, login), (other, same) = await identify(BASE), await identify(block)

    assert one != other
    assert login == same


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"server": "https://vault.example.com:8201"}, id="port"),
        pytest.param({"server": "http://vault.example.com:8200"}, id="scheme"),
        pytest.param({"server": "https://vault.example.com:8200/prefix"}, id="base-path"),
        pytest.param({"namespace": "org/sub"}, id="namespace"),
        pytest.param({"headers": {"X-Team": "b"}}, id="header"),
        pytest.param({"headers": {}}, id="no-header"),
        pytest.param({"readYourWrites": True}, id="read-your-writes"),
        pytest.param({"auth": METHODS["appRole"] | {"namespace": "root"}}, id="login-namespace"),
        pytest.param({"caProvider": {"type": "Secret", "name": "ca", "key": "ca"}}, id="authority"),
        pytest.param(
            {
                "tls": {
                    "certSecretRef": {"name": "pair", "key": "crt"},
                    "keySecretRef": {"name": "pair", "key": "key"},
                }
            },
            id="client-certificate",
        ),
        *(pytest.param({"auth": METHODS[method]}, id=method) for method in METHODS if method != "appRole"),
    ],
)
async def test_one_difference_is_another_login(identify, cluster, change):
    cluster.put_secret("team-a", "ca", ca=OTHER.ca_pem)

    assert (await identify(BASE))[1] != (await identify(BASE | change))[1]


@pytest.mark.parametrize("method", ["token", "appRole", "userPass", "ldap", "jwt"])
async def test_another_credential_is_another_login(identify, cluster, method):
    block = BASE | {"auth": METHODS[method]}
    before = await identify(block)

    cluster.put_secret("team-a", "keys", a="changed")

    assert before[1] != (await identify(block))[1]


async def test_another_client_certificate_is_another_login(identify, cluster):
    block = BASE | {"auth": METHODS["cert"]}
    before = await identify(block)

    cluster.put_secret("team-a", "pair", **_pair("other"))

    assert before[1] != (await identify(block))[1]


async def test_service_account_made_anew_is_another_login(identify, cluster):
    block = BASE | {"auth": METHODS["kubernetes"]}
    before = await identify(block)

    del cluster.service_accounts["team-a", "app"]
    cluster.put_service_account("team-a", "app")

    assert before[1] != (await identify(block))[1]


async def test_other_audiences_are_another_login(identify):
    reference = {"name": "app", "audiences": ["mine"]}
    auth = {"kubernetes": {"role": "app", "serviceAccountRef": reference}}

    assert (await identify(BASE | {"auth": METHODS["kubernetes"]}))[1] != (
        await identify(BASE | {"auth": auth})
    )[1]


async def test_cluster_store_asks_for_each_namespace_as_itself(identify, provider, toolbox):
    block = BASE | {"auth": METHODS["kubernetes"]}

    one = await identify(block, store="", namespace="team-a")
    other = await identify(block, store="", namespace="team-b")

    assert one[1] != other[1]
    assert provider.referent(toolbox.view("vault", block, namespace=""))
    assert not provider.referent(toolbox.view("vault", block))


async def test_secret_without_the_key_is_told(identify, cluster):
    from keyferry.errors import AuthFailed

    cluster.put_secret("team-a", "keys", a="  \n", b="x")

    with pytest.raises(AuthFailed, match='Secret "team-a/keys" has no value under the key "a"'):
        await identify(BASE)


@pytest.mark.parametrize(
    ("auth", "field"),
    [
        ({"namespace": "x"}, "names no way to log in"),
        ({"kubernetes": {"role": ""}}, "kubernetes.role"),
        ({"userPass": {"username": "ada"}}, "userPass.secretRef.name"),
        ({"ldap": {"username": "ada", "secretRef": {"name": "x"}}}, "ldap.secretRef.key"),
        ({"jwt": {"role": "x"}}, "jwt.secretRef or jwt.kubernetesServiceAccountToken"),
        ({"appRole": {"secretRef": {"name": "a", "key": "b"}}}, "appRole.roleRef.name"),
        ({"cert": {"vaultRole": "x"}}, "cert.clientCert.name"),
        ({"tokenSecretRef": {"name": "x"}}, "tokenSecretRef.key"),
        ({"iam": {"vaultRole": ""}}, "iam.vaultRole"),
        ({"iam": {"vaultRole": "x", "jwt": {}}}, "iam.jwt.serviceAccountRef"),
        ({"gcp": {"role": ""}}, "gcp.role"),
    ],
)
async def test_method_that_lacks_something_names_the_field(identify, auth, field):
    from keyferry.errors import SpecError

    with pytest.raises(SpecError) as raised:
        await identify(BASE | {"auth": auth})

    assert field in raised.value.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tls": {"certSecretRef": {"name": "pair"}}}, "needs both"),
        ({"version": "v1", "checkAndSet": {"required": True}}, "checkAndSet needs version v2"),
        (
            {"auth": {"tokenSecretRef": {"name": "x", "key": "k", "namespace": "team-b"}}},
            'auth.tokenSecretRef.namespace is "team-b"',
        ),
    ],
)
async def test_block_that_cannot_be_is_refused(identify, change, words):
    from keyferry.errors import KeyferryError

    with pytest.raises(KeyferryError) as raised:
        await identify(BASE | change)

    assert words in raised.value.message
