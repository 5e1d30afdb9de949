"""Who asks: keys from a Secret, a ServiceAccount's role, role chains; and who is refused, and how it is told."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import json

import pytest

from keyferry.errors import (
    AccessDenied,
    AuthFailed,
    CredentialsExpired,
    KeyferryError,
    KubeNotFound,
)
from keyferry.ports import Read, RemoteValue, Verdict
from keyferry.testing.leaks import canary

ACCOUNT = "123456789012"


async def value_of(client, key):
    (answer,) = await client.read([Read(key)])
    assert isinstance(answer, RemoteValue), answer
    return answer.value.reveal()


def principals(aws, **wanted):
    return [call.principal for call in aws.control.calls(**wanted)]


# Keys


async def test_keys_sign_as_their_owner(client_of, administrator, aws, unique, user_arn):
    administrator.put_secret(unique, "value")
    aws.control.reset_calls()

    assert b"value" == await value_of(await client_of(), unique)
    assert [user_arn] == principals(aws)


async def test_temporary_keys_need_their_session_token(
    provider, connect, toolbox, administrator, cluster, aws, unique, reader, user_arn
):
    administrator.put_secret(unique, "value")
    role = administrator.role_for_principals(f"temp-{unique}", [user_arn], allow=[f"{unique}*"])
    given = _sts(aws, reader).assume_role(RoleArn=role, RoleSessionName="by-hand")["Credentials"]
    cluster.put_secret(
        "team-a",
        "temp",
        id=given["AccessKeyId"],
        secret=given["SecretAccessKey"],
        token=given["SessionToken"],
    )

    async def client(*, token):
        auth = toolbox.key_auth("temp", session_token=token)
        return await connect(provider, toolbox.view("aws", toolbox.aws_block(auth=auth)))

    assert b"value" == await value_of(await client(token=True), unique)
    with pytest.raises(AuthFailed):
        await (await client(token=False)).read([Read(unique)])


def _sts(aws, keys):
    import boto3

    return boto3.client(
        "sts",
        endpoint_url=aws.endpoint,
        region_name="eu-central-1",
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
    )


async def test_line_breaks_around_keys_do_not_matter(client_of, administrator, cluster, unique, reader):
    administrator.put_secret(unique, "value")
    cluster.put_secret(
        "team-a", "keys", id=f"{reader.access_key_id}\n", secret=f"  {reader.secret_access_key}\r\n"
    )

    assert b"value" == await value_of(await client_of(), unique)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        pytest.param({"id": "AKIA"}, 'has no key "secret"', id="missing"),
        pytest.param({"id": "", "secret": "x"}, 'key "id"', id="empty"),
        pytest.param({"id": "AKIA", "secret": b"\xff\x00"}, 'key "secret"', id="no-text"),
        pytest.param({"id": "AKIA\r\nHost: evil", "secret": "x"}, 'key "id"', id="a-line-break-within"),
        pytest.param({"id": "AKIAé", "secret": "x"}, 'key "id"', id="no-ascii"),
    ],
)
async def test_unusable_keys_are_told_by_their_place(client_of, cluster, data, named):
    cluster.put_secret("team-a", "keys", **data)

    with pytest.raises(AuthFailed) as failure:
        await client_of()

    assert 'Secret "team-a/keys"' in failure.value.message
    assert named in failure.value.message


async def test_missing_auth_secret_is_named(client_of, cluster):
    del cluster.secrets["team-a", "keys"]

    with pytest.raises(KubeNotFound, match='Secret "team-a/keys" does not exist'):
        await client_of()


@pytest.mark.parametrize("wrong", ["id", "secret"])
async def test_wrong_keys_are_found_by_validation_and_by_reads(
    client_of, cluster, reader, fail, unique, wrong, leaks
):
    good = {"id": reader.access_key_id, "secret": reader.secret_access_key}
    cluster.put_secret("team-a", "keys", **(good | {wrong: f"AKIA{canary('wrong-key')}"}))
    client = await client_of()

    with pytest.raises(AuthFailed) as validation:
        await client.validate()
    read = await fail(client, Read(unique))

    assert [AuthFailed] * 2 == [type(read), type(validation.value)]
    assert "access key" in read.hint
    assert validation.value.hint == read.hint
    assert [] == leaks.look_at_error("wrong keys", read) + leaks.look_at_error("wrong keys", validation.value)


async def test_good_keys_are_shown_to_sts_once(client_of, aws):
    client = await client_of()
    aws.control.reset_calls()

    assert [Verdict.READY] * 3 == [await client.validate() for _ in range(3)]
    assert ["GetCallerIdentity"] == [call.action for call in aws.control.calls()]


async def test_keys_count_as_good_where_sts_cannot_be_reached(client_of, administrator, aws, unique):
    """As in a private network with an endpoint for Secrets Manager alone."""
    administrator.put_secret(unique, "value")
    aws.control.add_fault(_fault(kind="cut-before", service="sts"))
    client = await client_of()

    assert Verdict.READY is await client.validate()
    assert b"value" == await value_of(client, unique)


def _fault(**fields):
    from keyferry.testing.aws import Fault

    return Fault(**fields)


async def test_written_keys_that_have_ended_say_who_must_renew_them(client_of):
    with pytest.raises(CredentialsExpired) as failure:
        await (await client_of()).renew()

    assert "serviceAccountRef" in failure.value.hint


# A ServiceAccount's role


async def test_service_account_reads_with_its_role(web_client_of, administrator, aws, cluster, unique):
    administrator.put_secret(unique, "value")
    aws.control.reset_calls()

    assert b"value" == await value_of(await web_client_of(), unique)
    (exchange,) = aws.control.calls(service="sts")
    assert ("AssumeRoleWithWebIdentity", "system:serviceaccount:team-a:app") == (
        exchange.action,
        exchange.subject,
    )
    assert [f"arn:aws:sts::{ACCOUNT}:assumed-role/app-{unique}/external-secrets-provider-aws"] == principals(
        aws, service="secretsmanager"
    )
    assert [("team-a", "app", ("sts.amazonaws.com",), 600)] == cluster.tokens


async def test_role_is_proven_by_validation(web_client_of, aws):
    client = await web_client_of()
    aws.control.reset_calls()

    assert [Verdict.READY] * 2 == [await client.validate(), await client.validate()]
    assert ["AssumeRoleWithWebIdentity"] == [call.action for call in aws.control.calls()]


async def test_audiences_of_annotation_and_reference_are_asked_for(
    provider, connect, toolbox, web_reader, administrator, issuer, cluster, aws, unique
):
    administrator.trust_cluster(issuer.url, issuer.ca_pem, audiences=["sts.amazonaws.com", "own"])
    cluster.put_service_account("team-a", "app", role=web_reader, audience="own")
    reference = {"name": "app", "audiences": ["sts.amazonaws.com"]}
    client = await connect(
        provider, toolbox.view("aws", toolbox.aws_block(auth={"jwt": {"serviceAccountRef": reference}}))
    )

    assert Verdict.READY is await client.validate()
    assert [("own", "sts.amazonaws.com")] == [audiences for _, _, audiences, _ in cluster.tokens]


async def test_cluster_store_takes_the_service_account_of_each_namespace(
    provider, connect, toolbox, web_reader, administrator, cluster, aws, unique
):
    role = administrator.role_for_service_account(f"b-{unique}", "team-b", "app", allow=[f"{unique}/b*"])
    cluster.put_service_account("team-b", "app", role=role)
    administrator.put_secret(f"{unique}/a", "a")
    administrator.put_secret(f"{unique}/b", "b")
    block = toolbox.aws_block(auth={"jwt": {"serviceAccountRef": {"name": "app"}}})
    view = toolbox.view("aws", block, namespace="")
    of_b = await connect(provider, view, "team-b")

    assert b"b" == await value_of(of_b, f"{unique}/b")
    (denied,) = await of_b.read([Read(f"{unique}/a")])
    assert isinstance(denied, AccessDenied)
    assert b"a" == await value_of(await connect(provider, view, "team-a"), f"{unique}/a")


async def test_service_account_without_a_role_says_which_annotation_is_missing(web_client_of, cluster):
    cluster.put_service_account("team-a", "app")

    with pytest.raises(AuthFailed) as failure:
        await web_client_of()

    assert (
        "an IAM role must be associated with service account app (namespace: team-a)" == failure.value.message
    )
    assert "eks.amazonaws.com/role-arn" in failure.value.hint


async def test_annotation_that_is_no_role_is_named(web_client_of, cluster):
    cluster.put_service_account("team-a", "app", role="reader")

    with pytest.raises(AuthFailed, match='ServiceAccount "team-a/app" is no role ARN'):
        await web_client_of()


async def test_missing_service_account_is_named(web_client_of, cluster):
    cluster.service_accounts.clear()

    with pytest.raises(KubeNotFound, match='ServiceAccount "team-a/app" does not exist'):
        await web_client_of()


async def test_refusal_by_the_cluster_reaches_the_reader_as_it_is(web_client_of, cluster, unique):
    client = await web_client_of()
    cluster.service_accounts.clear()  # gone between two moments

    with pytest.raises(KubeNotFound, match="team-a/app"):
        await client.read([Read(unique)])


WEB_FAILURES = [
    pytest.param({"code": "AccessDenied"}, AuthFailed, "trust policy", id="not-trusted"),
    pytest.param({"code": "InvalidIdentityToken"}, AuthFailed, "OIDC issuer", id="unknown-issuer"),
    pytest.param({"code": "IDPRejectedClaim"}, AuthFailed, "OIDC issuer", id="claim-refused"),
    pytest.param({"code": "ExpiredTokenException"}, AuthFailed, "clock", id="token-expired"),
    pytest.param({"code": "RegionDisabledException"}, AuthFailed, "region", id="region-off"),
    pytest.param({"code": "PackedPolicyTooLarge"}, AuthFailed, "tags", id="too-many-tags"),
    pytest.param({"code": "ValidationError"}, AuthFailed, "", id="invalid"),
]


@pytest.mark.parametrize(("fault", "expected", "advice"), WEB_FAILURES)
async def test_refused_exchange_is_told_with_advice(
    web_client_of, aws, fail, unique, fault, expected, advice
):
    aws.control.fail(**fault, service="sts")
    client = await web_client_of()

    error = await fail(client, Read(unique))

    assert expected is type(error)
    assert advice in error.hint
    assert error.hint


async def test_role_that_does_not_trust_the_service_account_is_named_with_its_subject(
    web_client_of, administrator, cluster, fail, unique
):
    role = administrator.role_for_service_account(f"other-{unique}", "team-b", "app")
    cluster.put_service_account("team-a", "app", role=role)

    error = await fail(await web_client_of(), Read(unique))

    assert f'system:serviceaccount:team-a:app may not assume role "{role}"' == error.message


async def test_answer_of_sts_without_credentials_is_malformed(
    scripted, provider, connect, toolbox, cluster, fail, leaks
):
    scripted.answers = [(200, f"<x>{canary('sts-answer')}".encode())]
    cluster.put_service_account("team-a", "app", role=f"arn:aws:iam::{ACCOUNT}:role/x")
    cluster.issue = lambda subject, audiences: canary("service-account-token")
    block = toolbox.aws_block(auth={"jwt": {"serviceAccountRef": {"name": "app"}}})
    client = await connect(provider, toolbox.view("aws", block))

    error = await fail(client, Read("a"))

    assert "Malformed" == error.reason
    assert [] == leaks.look_at_error("answer of STS", error)


# Roles


async def test_roles_are_assumed_one_after_the_other(client_of, administrator, aws, unique, user_arn):
    administrator.put_secret(unique, "value")
    first = administrator.create_role(
        f"first-{unique}", trust=_trust(user_arn), policy=administrator.assume_policy(["*"])
    )
    middle = administrator.create_role(
        f"middle-{unique}", trust=_trust(first), policy=administrator.assume_policy(["*"])
    )
    last = administrator.role_for_principals(f"last-{unique}", [middle], allow=[f"{unique}*"])
    client = await client_of(additionalRoles=[first, middle], role=last)
    aws.control.reset_calls()

    assert b"value" == await value_of(client, unique)
    assert [first, middle, last] == [call.role_arn for call in aws.control.calls(service="sts")]
    assert [f"arn:aws:sts::{ACCOUNT}:assumed-role/last-{unique}/keyferry"] == principals(
        aws, service="secretsmanager"
    )


def _trust(principal):
    return {"Effect": "Allow", "Principal": {"AWS": [principal]}, "Action": "sts:AssumeRole"}


async def test_refused_link_of_a_chain_names_both_ends(client_of, administrator, fail, unique, user_arn):
    first = administrator.create_role(
        f"first-{unique}", trust=_trust(user_arn), policy=administrator.assume_policy(["*"])
    )
    last = administrator.role_for_principals(f"last-{unique}", [user_arn])

    error = await fail(await client_of(additionalRoles=[first], role=last), Read(unique))

    assert AuthFailed is type(error)
    assert f'role {first} may not assume role "{last}"' == error.message
    assert "trust policy" in error.hint


async def test_external_id_is_presented_to_the_last_role_alone(
    client_of, administrator, aws, unique, user_arn
):
    administrator.put_secret(unique, "value")
    first = administrator.create_role(
        f"first-{unique}", trust=_trust(user_arn), policy=administrator.assume_policy(["*"])
    )
    last = administrator.role_for_principals(
        f"last-{unique}", [first], allow=[f"{unique}*"], external_id="secret-handshake"
    )

    good = await client_of(additionalRoles=[first], role=last, externalID="secret-handshake")
    bad = await client_of(additionalRoles=[first], role=last, externalID="another")

    assert b"value" == await value_of(good, unique)
    with pytest.raises(AuthFailed):
        await bad.read([Read(unique)])


TAGGED = [
    pytest.param({}, {}, [], id="none"),
    pytest.param({"sessionTags": [{"key": "team", "value": "a"}]}, {"team": "a"}, [], id="own"),
    pytest.param(
        {"sessionTags": [{"key": "team", "value": "a"}], "transitiveTagKeys": ["team"]},
        {"team": "a"},
        ["team"],
        id="transitive",
    ),
    pytest.param(
        {"sessionTagsPolicy": "Simple"},
        {"esoNamespace": "team-a", "esoStoreName": "main", "esoStoreKind": "SecretStore"},
        [],
        id="simple",
    ),
    pytest.param(
        {"sessionTagsPolicy": "Simple", "sessionTags": [{"key": "team", "value": "a"}]},
        {"esoNamespace": "team-a", "esoStoreName": "main", "esoStoreKind": "SecretStore", "team": "a"},
        [],
        id="simple-and-own",
    ),
    pytest.param(
        {"sessionTagsPolicy": "Custom", "customSessionTags": {"cost": "42"}},
        {"esoNamespace": "team-a", "esoStoreName": "main", "esoStoreKind": "SecretStore", "cost": "42"},
        [],
        id="custom",
    ),
    pytest.param({"customSessionTags": {"cost": "42"}}, {}, [], id="custom-without-its-policy"),
]


@pytest.mark.parametrize(("changes", "tags", "transitive"), TAGGED)
async def test_session_carries_the_tags(
    client_of, administrator, aws, unique, user_arn, changes, tags, transitive
):
    administrator.put_secret(unique, "value")
    role = administrator.role_for_principals(
        f"tagged-{unique}", [user_arn], allow=[f"{unique}*"], may_tag=True
    )
    client = await client_of(role=role, **changes)
    aws.control.reset_calls()

    assert b"value" == await value_of(client, unique)
    (read,) = aws.control.calls(service="secretsmanager")
    assert (tags, transitive) == (read.session_tags, read.transitive_tag_keys)


async def test_role_that_may_not_be_tagged_says_so(client_of, administrator, fail, unique, user_arn):
    role = administrator.role_for_principals(f"untagged-{unique}", [user_arn], allow=[f"{unique}*"])

    error = await fail(await client_of(role=role, sessionTagsPolicy="Simple"), Read(unique))

    assert AuthFailed is type(error)
    assert "sts:TagSession" in error.hint


async def test_policies_can_rely_on_the_namespace_in_the_tags(
    provider, connect, toolbox, administrator, cluster, reader, unique, user_arn
):
    """Two namespaces behind one cluster store and one role: each reads what is tagged with its name."""
    statement = {
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": f"arn:aws:secretsmanager:*:*:secret:{unique}/${{aws:PrincipalTag/esoNamespace}}/*",
    }
    role = administrator.create_role(
        f"by-namespace-{unique}",
        trust=_trust(user_arn) | {"Action": ["sts:AssumeRole", "sts:TagSession"]},
        policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    for namespace in ("team-a", "team-b"):
        administrator.put_secret(f"{unique}/{namespace}/db", namespace)
    auth = toolbox.key_auth("keys", namespace="team-a")
    view = toolbox.view(
        "aws", toolbox.aws_block(auth=auth, role=role, sessionTagsPolicy="Simple"), namespace=""
    )

    for namespace, other in (("team-a", "team-b"), ("team-b", "team-a")):
        client = await connect(provider, view, namespace)
        (own,) = await client.read([Read(f"{unique}/{namespace}/db")])
        (foreign,) = await client.read([Read(f"{unique}/{other}/db")])
        assert namespace.encode() == own.value.reveal()
        assert isinstance(foreign, AccessDenied)


async def test_no_failure_of_a_login_shows_a_secret(provider, connect, toolbox, cluster, aws, leaks):
    cluster.put_secret(
        "team-a", "keys", id="AKIAEXAMPLE", secret=canary("login-secret"), token=canary("login-token")
    )
    auth = toolbox.key_auth("keys", session_token=True)
    client = await connect(provider, toolbox.view("aws", toolbox.aws_block(auth=auth)))

    with pytest.raises(KeyferryError) as failure:
        await client.read([Read("a")])

    assert [] == leaks.look_at_error("login", failure.value)
