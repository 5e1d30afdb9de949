"""Fingerprints: equal where everything that decides about access is equal, and different where one thing differs."""

from __future__ import annotations

import copy

import pytest

from keyferry.providers.aws import AWSProvider
from keyferry.providers.fake import FakeProvider

ROLE = "arn:aws:iam::123456789012:role/reader"
OTHER_ROLE = "arn:aws:iam::123456789012:role/other"
BASE = {
    "service": "SecretsManager",
    "region": "eu-central-1",
    "role": ROLE,
    "additionalRoles": [OTHER_ROLE],
    "externalID": "one",
    "sessionTags": [{"key": "team", "value": "a"}],
    "transitiveTagKeys": ["team"],
    "prefix": "app/",
}
KEYS = {
    "secretRef": {
        "accessKeyIDSecretRef": {"name": "keys", "key": "id"},
        "secretAccessKeySecretRef": {"name": "keys", "key": "secret"},
        "sessionTokenSecretRef": {"name": "keys", "key": "token"},
    }
}
ACCOUNT = {"jwt": {"serviceAccountRef": {"name": "app", "audiences": ["extra"]}}}


@pytest.fixture
async def fingerprint(cluster, toolbox):
    """The fingerprint of an aws store for a namespace."""
    provider = AWSProvider()
    cluster.put_secret("team-a", "keys", id="AKIAEXAMPLE", secret="secret-1", token="token-1")
    cluster.put_secret("team-b", "keys", id="AKIAEXAMPLE", secret="secret-1", token="token-1")
    for namespace in ("team-a", "team-b"):
        cluster.put_service_account(namespace, "app", role=ROLE)

    async def of(block, *, store="team-a", namespace="team-a", name="main"):
        view = toolbox.view("aws", block, namespace=store, name=name)
        provider.check(view)
        return (await provider.identify(view, namespace, cluster)).fingerprint

    yield of
    await provider.close()


@pytest.mark.parametrize("auth", [{}, KEYS, ACCOUNT], ids=["ambient", "keys", "service-account"])
async def test_equal_stores_have_equal_fingerprints(fingerprint, auth):
    block = BASE | {"auth": auth}

    assert await fingerprint(block) == await fingerprint(copy.deepcopy(block), name="another")


async def test_order_of_session_tags_makes_no_difference(fingerprint):
    tags = [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]

    assert await fingerprint(BASE | {"sessionTags": tags, "transitiveTagKeys": []}) == await fingerprint(
        BASE | {"sessionTags": tags[::-1], "transitiveTagKeys": []}
    )


SPEC_CHANGES = [
    pytest.param({"service": "ParameterStore"}, id="service"),
    pytest.param({"region": "eu-west-1"}, id="region"),
    pytest.param({"prefix": "other/"}, id="prefix"),
    pytest.param({"role": OTHER_ROLE}, id="role"),
    pytest.param({"additionalRoles": []}, id="no-chain"),
    pytest.param({"additionalRoles": [OTHER_ROLE, ROLE]}, id="longer-chain"),
    pytest.param({"additionalRoles": [ROLE], "role": OTHER_ROLE}, id="chain-the-other-way-round"),
    pytest.param({"externalID": "two"}, id="external-id"),
    pytest.param({"externalID": ""}, id="no-external-id"),
    pytest.param({"sessionTags": [{"key": "team", "value": "b"}]}, id="tag-value"),
    pytest.param({"sessionTags": [{"key": "squad", "value": "a"}]}, id="tag-key"),
    pytest.param({"sessionTags": []}, id="no-tags"),
    pytest.param({"transitiveTagKeys": []}, id="transitive-keys"),
    pytest.param({"sessionTagsPolicy": "Simple"}, id="tags-policy"),
    pytest.param({"sessionTagsPolicy": "Custom", "customSessionTags": {"x": "y"}}, id="custom-tags"),
    pytest.param({"auth": {}}, id="ambient-instead-of-keys"),
    pytest.param({"auth": ACCOUNT}, id="service-account-instead-of-keys"),
    pytest.param(
        {"auth": {"secretRef": {**KEYS["secretRef"], "sessionTokenSecretRef": None}}}, id="no-token"
    ),
]


@pytest.mark.parametrize("change", SPEC_CHANGES)
async def test_one_difference_in_the_spec_is_another_identity(fingerprint, change):
    block = BASE | {"auth": KEYS}

    assert await fingerprint(block) != await fingerprint(block | change)


@pytest.mark.parametrize("key", ["id", "secret", "token"])
async def test_one_different_credential_is_another_identity(fingerprint, cluster, key):
    block = BASE | {"auth": KEYS}
    before = await fingerprint(block)
    cluster.put_secret(
        "team-a",
        "keys",
        **({"id": "AKIAEXAMPLE", "secret": "secret-1", "token": "token-1"} | {key: "changed"}),
    )

    assert before != await fingerprint(block)


@pytest.mark.parametrize(
    "annotations",
    [
        pytest.param({"role": OTHER_ROLE}, id="role-annotation"),
        pytest.param({"role": ROLE, "audience": "other"}, id="audience-annotation"),
    ],
)
async def test_changed_service_account_is_another_identity(fingerprint, cluster, annotations):
    block = BASE | {"auth": ACCOUNT}
    before = await fingerprint(block)
    cluster.put_service_account("team-a", "app", **annotations)

    assert before != await fingerprint(block)


async def test_service_account_made_anew_is_another_identity(fingerprint, cluster):
    """Same name, same role, other uid: tokens of the old one end."""
    block = BASE | {"auth": ACCOUNT}
    before = await fingerprint(block)
    del cluster.service_accounts["team-a", "app"]
    cluster.put_service_account("team-a", "app", role=ROLE)

    assert before != await fingerprint(block)


async def test_other_audiences_are_another_identity(fingerprint):
    auth = {"jwt": {"serviceAccountRef": {"name": "app", "audiences": ["other"]}}}

    assert await fingerprint(BASE | {"auth": ACCOUNT}) != await fingerprint(BASE | {"auth": auth})


async def test_same_service_account_name_in_two_namespaces_is_two_identities(fingerprint):
    block = BASE | {"auth": ACCOUNT}

    assert await fingerprint(block, store="", namespace="team-a") != await fingerprint(
        block, store="", namespace="team-b"
    )


async def test_same_keys_in_two_namespaces_are_one_identity(fingerprint):
    """Who has the keys may read what they may read: sharing the answers shows nobody anything new."""
    block = BASE | {"auth": KEYS}

    assert await fingerprint(block, store="", namespace="team-a") == await fingerprint(
        block, store="", namespace="team-b"
    )


@pytest.mark.parametrize("policy", ["Simple", "Custom"])
async def test_session_tags_make_each_namespace_and_each_store_an_identity(fingerprint, policy):
    block = BASE | {"auth": KEYS, "sessionTagsPolicy": policy}
    identities = [
        await fingerprint(block, store="", namespace="team-a"),
        await fingerprint(block, store="", namespace="team-b"),
        await fingerprint(block, store="", namespace="team-a", name="another"),
        await fingerprint(block, store="team-a", namespace="team-a"),
    ]

    assert 4 == len(set(identities))


@pytest.mark.parametrize(
    ("service", "variable"),
    [
        ("SecretsManager", "AWS_SECRETSMANAGER_ENDPOINT"),
        ("SecretsManager", "AWS_STS_ENDPOINT"),
        ("ParameterStore", "AWS_SSM_ENDPOINT"),
        ("ParameterStore", "AWS_STS_ENDPOINT"),
    ],
)
async def test_another_endpoint_is_another_identity(fingerprint, monkeypatch, service, variable):
    before = await fingerprint(BASE | {"service": service})
    monkeypatch.setenv(variable, "https://vpce.example.com")

    assert before != await fingerprint(BASE | {"service": service})


@pytest.mark.parametrize(
    ("change", "name"),
    [
        pytest.param({"data": [{"key": "a", "value": "2"}]}, "main", id="value"),
        pytest.param({"data": [{"key": "b", "value": "1"}]}, "main", id="key"),
        pytest.param({"data": [{"key": "a", "value": "1", "version": "v1"}]}, "main", id="version"),
        pytest.param({"validationResult": 1}, "main", id="verdict"),
        pytest.param({}, "another", id="store"),
    ],
)
async def test_fake_stores_that_differ_share_nothing(cluster, toolbox, change, name):
    provider, block = FakeProvider(), {"data": [{"key": "a", "value": "1"}]}

    async def of(block, name):
        return (
            await provider.identify(toolbox.view("fake", block, name=name), "team-a", cluster)
        ).fingerprint

    assert await of(block, "main") == await of(block, "main")
    assert await of(block, "main") != await of(block | change, name)


async def test_identity_does_not_show_its_material(cluster, toolbox, leaks):
    from keyferry.testing.leaks import canary

    cluster.put_secret("team-a", "keys", id="AKIAEXAMPLE", secret=canary("secret-key"), token=canary("token"))
    provider = AWSProvider()
    view = toolbox.view("aws", BASE | {"auth": KEYS})

    identity = await provider.identify(view, "team-a", cluster)

    assert [] == leaks.look("identity", f"{identity!r} {identity.material!r} {identity}")
