"""The policies of the page about Vault are enough for what it shows, and each of their capabilities is needed."""

from __future__ import annotations

import asyncio
import re

import pytest
from tests.docs.markdown import ROOT, blocks

from keyferry.errors import AccessDenied, AuthFailed, KeyferryError
from keyferry.ports import Find, Read, RemoteValue, Verdict
from keyferry.testing.eventually import eventually_async
from keyferry.testing.leaks import canary

PAGE = ROOT / "docs/providers/vault.md"
POLICIES = {block.marks["policy"]: block.text for block in blocks(PAGE, "hcl") if "policy" in block.marks}
RULE = re.compile(r'path "([^"]+)" \{\s+capabilities = \[([^]]*)\]\s+\}')
VALUE = canary("vault-policy")


def rules(*names):
    """(path, capability) of each line of the page's policies."""
    found = []
    for name in names:
        listed = RULE.findall(POLICIES[name])
        assert listed, name
        found += [(path, one.strip(' "')) for path, many in listed for one in many.split(",")]
    return found


def written(pairs, mount):
    policy = {}
    for path, capability in pairs:
        policy.setdefault(path.replace("team/", f"{mount}/", 1), []).append(capability)
    return policy


@pytest.fixture
def allowed(team):
    """Give the role, which has no other policy, these rules of the page."""

    def give(pairs):
        team.role(token_no_default_policy=True, token_ttl="2s", token_max_ttl="1h")
        team.allow(written(pairs, team.name))

    team.put("shop/db", v=VALUE)
    team.put("staff/salaries", v=VALUE)
    team.administrator.annotate(team.name, "shop/db", {"env": "prod"})
    return give


async def attempt(client, what):
    """One of the things that the page promises: True, or the failure."""
    try:
        match what:
            case "read":
                (answer,) = await client.read([Read("shop/db")])
            case "metadata":
                (answer,) = await client.read([Read("shop/db", metadata=True)])
            case "find":
                answer = [one.name for one in await client.find(Find(path="shop", name="db"))] == ["shop/db"]
            case "tags":
                answer = bool(await client.find(Find(path="shop", tags=(("env", "prod"),))))
            case _:
                answer = await client.validate() is Verdict.READY
    except KeyferryError as error:
        return error
    return True if isinstance(answer, RemoteValue) else answer


EVERYTHING = ("read", "metadata", "find", "tags", "validate")
NEEDED = {
    ("team/data/shop/*", "read"): {"read"},
    ("team/metadata/shop/*", "read"): {"metadata", "tags"},
    ("team/metadata/shop/*", "list"): {"find", "tags"},
}


async def test_policies_of_the_page_are_enough(allowed, team, connect, provider):
    allowed(rules("read", "metadata", "find", "token"))
    client = await connect(provider, team.store())

    assert dict.fromkeys(EVERYTHING, True) == {what: await attempt(client, what) for what in EVERYTHING}


async def test_policies_of_the_page_open_nothing_else(allowed, team, connect, provider):
    allowed(rules("read", "metadata", "find", "token"))
    client = await connect(provider, team.store())

    (value,) = await client.read([Read("staff/salaries")])
    (metadata,) = await client.read([Read("staff/salaries", metadata=True)])

    assert [AccessDenied] * 2 == [type(value), type(metadata)]
    with pytest.raises(AccessDenied):
        await client.find(Find(path="staff"))


@pytest.mark.parametrize("rule", rules("read", "metadata", "find"), ids=" ".join)
async def test_each_capability_is_needed_for_what_the_page_says(allowed, team, connect, provider, rule):
    allowed([one for one in rules("read", "metadata", "find", "token") if one != rule])
    client = await connect(provider, team.store())

    results = {what: await attempt(client, what) for what in EVERYTHING}

    assert NEEDED[rule] == {what for what, result in results.items() if result is not True}
    for what in NEEDED[rule]:
        path, capability = rule
        folder = path.replace("team/", f"{team.name}/", 1).removesuffix("*")
        assert f'path "{folder}' in results[what].hint
        assert f'capabilities = ["{capability}"]' in results[what].hint


async def test_token_is_renewed_and_revoked_by_what_the_page_says(allowed, team, connect, provider, vault):
    allowed(rules("read", "token"))
    client = await connect(provider, team.store())

    async def renewed():
        await attempt(client, "read")
        return [one for one in vault.audit.calls("auth/token/renew-self") if not one.error]

    await eventually_async(renewed, timeout_s=15, every_s=0.2)
    (login,) = [one for one in vault.audit.logins("approle") if one.accessor]
    await client.close()

    assert team.administrator.look_up(login.accessor) is None


async def test_without_renewal_there_is_another_login(allowed, team, connect, provider, vault):
    allowed([one for one in rules("read", "token") if "renew" not in one[0]])
    client = await connect(provider, team.store())

    async def logged_in_again():
        assert await attempt(client, "read") is True
        return len([one for one in vault.audit.logins("approle") if one.accessor]) > 1

    await eventually_async(logged_in_again, timeout_s=15, every_s=0.2)


async def test_without_revocation_the_token_lives_to_its_end(allowed, team, connect, provider, vault):
    allowed([one for one in rules("read", "token") if "revoke" not in one[0]])
    client = await connect(provider, team.store())
    await attempt(client, "read")
    (login,) = [one for one in vault.audit.logins("approle") if one.accessor]

    await client.close()
    await asyncio.sleep(0)

    assert team.administrator.look_up(login.accessor)


async def test_token_of_a_secret_needs_to_look_itself_up(team, connect, provider, cluster):
    team.put("shop/db", v=VALUE)
    static = rules("static")
    assert [("auth/token/lookup-self", "read")] == static
    results = {}
    for name, pairs in (("with", [*rules("read"), *static]), ("without", rules("read"))):
        team.administrator.policy(f"{team.name}-{name}", written(pairs, team.name))
        token = team.administrator.token(f"{team.name}-{name}", no_default_policy=True)
        cluster.put_secret("team-a", name, token=token.value)
        auth = {"tokenSecretRef": {"name": name, "key": "token"}}
        client = await connect(provider, team.store(auth=auth))
        results[name] = [await attempt(client, "validate"), await attempt(client, "read")]

    assert [True, True] == results["with"]
    assert isinstance(results["without"][0], AuthFailed)
    assert results["without"][1] is True


async def test_version_1_needs_one_path(team, connect, provider, unique):
    assert 'In version 1 of the engine it is `path "team/shop/*"` with `read`' in " ".join(
        PAGE.read_text().split()
    )
    mount = f"{unique}-v1"
    team.administrator.mount_kv(mount, 1)
    team.administrator.put(mount, "shop/db", {"v": VALUE}, version=1)
    results = {}
    for rights in (["read", "list"], ["read"], ["list"]):
        team.allow({f"{mount}/shop/*": rights})
        client = await connect(provider, team.store(path=mount, version="v1"))
        results[" ".join(rights)] = [await attempt(client, what) is True for what in ("read", "find")]

    assert {"read list": [True, True], "read": [True, False], "list": [False, True]} == results
