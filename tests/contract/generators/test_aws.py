"""Logins of ECR and session tokens of STS: who asks, what AWS allows, what it gives."""

from __future__ import annotations

import asyncio
import base64
import hmac
import struct
import time

import boto3
import pytest

from keyferry.errors import AccessDenied, AuthFailed, ForbiddenError, Malformed, RateLimited, SpecError
from keyferry.ports import AmbientIdentity
from keyferry.providers.aws.generators import MAX_SESSIONS
from keyferry.testing.aws import Fault

ACCOUNT = "123456789012"
ECR, STS = "ECRAuthorizationToken", "STSSessionToken"


def one_time_password(seed: bytes) -> str:
    mac = hmac.digest(base64.b32decode(seed), struct.pack(">Q", int(time.time()) // 30), "sha1")
    (number,) = struct.unpack_from(">I", mac, mac[-1] & 15)
    return f"{(number & 0x7FFFFFFF) % 10**6:06d}"


async def test_login_of_a_private_registry_has_its_address(world, spec_of):
    values = await world.values(ECR, spec_of("ecr"))

    assert ("AWS", f"https://{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com") == (
        values["username"],
        values["proxy_endpoint"],
    )
    assert abs(int(values["expires_at"]) - time.time() - 12 * 3600) < 60


async def test_login_of_the_public_registry_comes_from_its_one_region(world, spec_of, aws):
    values = await world.values(ECR, spec_of("ecr-public"))

    (call,) = aws.control.calls(service="ecr-public")
    assert ("us-east-1", 200) == (call.region, call.status)
    assert "AWS" == values["username"]


async def test_session_token_is_good_for_what_its_user_may(world, spec_of, aws):
    values = await world.values(STS, spec_of("sts"))

    client = boto3.session.Session().client(
        "sts",
        endpoint_url=aws.endpoint,
        region_name="eu-central-1",
        aws_access_key_id=values["access_key_id"],
        aws_secret_access_key=values["secret_access_key"],
        aws_session_token=values["session_token"],
    )
    assert f"arn:aws:iam::{ACCOUNT}:user/{world.user}" == client.get_caller_identity()["Arn"]
    assert abs(int(values["expiration"]) - time.time() - 12 * 3600) < 60


async def test_session_lasts_as_long_as_the_spec_asks(world, spec_of):
    values = await world.values(STS, spec_of("sts", requestParameters={"sessionDuration": 900}))

    assert abs(int(values["expiration"]) - time.time() - 900) < 60


async def test_session_with_a_device_needs_what_it_shows(world, spec_of, leaks):
    iam = world.administrator.client("iam")
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName=world.user)["VirtualMFADevice"]
    serial, seed = device["SerialNumber"], device["Base32StringSeed"]
    iam.enable_mfa_device(
        UserName=world.user, SerialNumber=serial, AuthenticationCode1="000000", AuthenticationCode2="000001"
    )

    def spec(code):
        return spec_of("sts", requestParameters={"serialNumber": serial, "tokenCode": code})

    shown = one_time_password(seed)
    assert await world.values(STS, spec(shown))

    with pytest.raises(AccessDenied) as failure:
        await world.values(STS, spec(f"{(int(shown) + 1) % 10**6:06d}"))
    assert "tokenCode" in failure.value.hint
    assert [] == leaks.look_at_error("failure", failure.value)


async def test_role_is_assumed_first(world, spec_of, aws, toolbox):
    arn = f"arn:aws:iam::{ACCOUNT}:user/{world.user}"
    trust = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}
    role = world.administrator.create_role(
        f"{world.user}-ecr", trust=trust, policy=toolbox.policy("ecr:GetAuthorizationToken")
    )

    await world.values(ECR, spec_of("ecr", role=role))

    (call,) = aws.control.calls(service="ecr")
    assert f"arn:aws:sts::{ACCOUNT}:assumed-role/{world.user}-ecr/keyferry" == call.principal


async def test_service_account_stands_for_a_role(world, spec_of, aws, toolbox):
    world.administrator.trust_cluster(world.issuer.url, world.issuer.ca_pem)
    role = world.administrator.role_for_service_account(
        f"{world.user}-web", "team-a", "puller", policy=toolbox.policy("ecr:GetAuthorizationToken")
    )
    world.cluster.put_service_account("team-a", "puller", role=role)

    for _ in range(2):
        await world.values(ECR, spec_of("ecr", auth={"jwt": {"serviceAccountRef": {"name": "puller"}}}))

    logins = aws.control.calls(action="AssumeRoleWithWebIdentity")
    assert ["system:serviceaccount:team-a:puller"] == [call.subject for call in logins]
    assert 2 == len(aws.control.calls(service="ecr"))


async def test_credentials_that_have_expired_are_renewed(world, spec_of, aws, toolbox):
    arn = f"arn:aws:iam::{ACCOUNT}:user/{world.user}"
    trust = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}
    role = world.administrator.create_role(
        f"{world.user}-ecr", trust=trust, policy=toolbox.policy("ecr:GetAuthorizationToken")
    )
    await world.values(ECR, spec_of("ecr", role=role))
    aws.control.expire_sessions()

    assert await world.values(ECR, spec_of("ecr", role=role))
    assert 2 == len(aws.control.calls(action="AssumeRole"))


async def test_keys_that_were_replaced_are_the_ones_that_ask(world, spec_of, aws, toolbox):
    await world.values(ECR, spec_of("ecr"))
    keys = world.administrator.create_user(
        f"{world.user}-new", policy=toolbox.policy("ecr:GetAuthorizationToken")
    )
    world.cluster.put_secret("team-a", "aws", id=keys.access_key_id, secret=keys.secret_access_key)

    await world.values(ECR, spec_of("ecr"))

    asked = [call.principal.rpartition("/")[2] for call in aws.control.calls(service="ecr")]
    assert [world.user, f"{world.user}-new"] == asked


@pytest.mark.parametrize(
    ("case", "allowed", "missing"),
    [
        pytest.param("ecr", [], "ecr:GetAuthorizationToken", id="private"),
        pytest.param(
            "ecr-public", ["sts:GetServiceBearerToken"], "ecr-public:GetAuthorizationToken", id="public"
        ),
        pytest.param("ecr-public", ["ecr-public:GetAuthorizationToken"], "ecr-public:", id="bearer-token"),
    ],
)
async def test_user_who_may_not_is_told_what_to_grant(
    *, world, spec_of, toolbox, leaks, case, allowed, missing
):
    policy = {"policy": toolbox.policy(*allowed)} if allowed else {}
    keys = world.administrator.create_user(f"{world.user}-poor", **policy)
    world.cluster.put_secret("team-a", "aws", id=keys.access_key_id, secret=keys.secret_access_key)

    with pytest.raises(AccessDenied) as failure:
        await world.values(ECR, spec_of(case))

    assert f"{world.user}-poor" in failure.value.message
    assert missing in failure.value.message
    assert [] == leaks.look_at_error("failure", failure.value)


async def test_session_credentials_get_no_session_token(world, spec_of):
    """As AWS has it: the advice for policies would mislead here."""
    values = await world.values(STS, spec_of("sts"))
    world.cluster.put_secret(
        "team-a",
        "session",
        id=values["access_key_id"],
        secret=values["secret_access_key"],
        token=values["session_token"],
    )
    refs = {
        f"{name}SecretRef": {"name": "session", "key": key}
        for name, key in (("accessKeyID", "id"), ("secretAccessKey", "secret"), ("sessionToken", "token"))
    }

    with pytest.raises(AccessDenied) as failure:
        await world.values(STS, spec_of("sts", auth={"secretRef": refs}))

    assert "access keys of a user" in failure.value.hint


async def test_wrong_keys_are_told(world, spec_of, leaks):
    world.cluster.put_secret("team-a", "aws", id="AKIAEXAMPLEEXAMPLE00", secret="x" * 40)

    for name, kind in (("ecr", ECR), ("sts", STS)):
        with pytest.raises(AuthFailed, match="refuses the credentials"):
            await world.values(kind, spec_of(name))


@pytest.mark.parametrize(("name", "kind", "service"), [("ecr", ECR, "ecr"), ("sts", STS, "sts")])
async def test_throttled_call_is_told_with_its_pause(*, world, spec_of, aws, name, kind, service):
    aws.control.throttle(retry_after_s=33, service=service)

    with pytest.raises(RateLimited) as failure:
        await world.values(kind, spec_of(name))

    assert 33 == failure.value.retry.seconds


@pytest.mark.parametrize(("name", "kind", "service"), [("ecr", ECR, "ecr"), ("sts", STS, "sts")])
async def test_answer_that_is_none_is_told(*, world, spec_of, aws, name, kind, service):
    aws.control.add_fault(Fault(kind="malformed", service=service))

    with pytest.raises(Malformed):
        await world.values(kind, spec_of(name))


@pytest.mark.parametrize("ambient", [AmbientIdentity.CLUSTER, AmbientIdentity.NONE])
@pytest.mark.parametrize(("name", "kind"), [("ecr", ECR), ("sts", STS)])
async def test_operators_own_identity_is_not_for_everybody(
    *, make_generators, world, spec_of, ambient, name, kind
):
    generators = make_generators(ambient=ambient)
    spec = spec_of(name, auth=None)

    with pytest.raises(ForbiddenError, match=f"--ambient-identity={ambient.value}"):
        generators[kind].check(world.view(kind, spec))

    if ambient is AmbientIdentity.CLUSTER:
        assert generators[kind].check(world.view(kind, spec, cluster_wide=True)) is None


async def test_operators_own_identity_asks_where_it_may(world, spec_of, aws, monkeypatch, toolbox):
    keys = world.administrator.create_user(
        f"{world.user}-own", policy=toolbox.policy("ecr:GetAuthorizationToken")
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_access_key)

    await world.values(ECR, spec_of("ecr", auth=None))

    (call,) = aws.control.calls(service="ecr")
    assert call.principal.endswith(f"{world.user}-own")


@pytest.mark.parametrize(
    ("kind", "name", "changes", "says"),
    [
        pytest.param(ECR, "ecr", {"region": "Frankfurt"}, "spec.region", id="no-region"),
        pytest.param(ECR, "ecr", {"scope": "all"}, "spec.scope", id="no-scope"),
        pytest.param(ECR, "ecr", {"role": "reader"}, "ARN of an IAM role", id="no-role"),
        pytest.param(
            STS, "sts", {"auth": {"jwt": {"serviceAccountRef": {"name": "a"}}}}, "spec.auth.jwt", id="web"
        ),
        pytest.param(
            STS, "sts", {"requestParameters": {"sessionDuration": 60}}, "sessionDuration", id="too-short"
        ),
        pytest.param(ECR, "ecr", {"auth": {"jwt": {}}}, "spec.auth.jwt.serviceAccountRef", id="nobody"),
    ],
)
async def test_spec_that_cannot_be_used_is_told_by_its_field(*, world, spec_of, kind, name, changes, says):
    with pytest.raises(SpecError) as failure:
        await world.values(kind, spec_of(name, **changes))

    assert says in failure.value.message


async def test_field_of_a_cluster_generator_is_told_where_it_stands(world, spec_of):
    with pytest.raises(SpecError, match=r"spec\.generator\.ecrAuthorizationTokenSpec\.scope"):
        await world.values(ECR, spec_of("ecr", scope="all"), cluster_wide=True)


async def test_stores_and_generators_share_what_is_dear(make_generators, world, spec_of):
    """One session of the SDK, one client for a service and region, whoever asks."""
    generators = make_generators()
    ecr, sts = generators[ECR], generators[STS]
    for name, generator in (("ecr", ecr), ("sts", sts), ("ecr", ecr)):
        await generator.generate(world.view(generator.kind, spec_of(name)), world.cluster)

    assert ecr._sdk is sts._sdk
    assert {("ecr", "eu-central-1"), ("sts", "eu-central-1")} == set(ecr._sdk._clients)


async def test_many_identities_at_once_do_not_end_each_other(world, spec_of):
    """Only so many sets of credentials are kept; whose exchange is under way when another needs the room is answered."""
    specs = [
        spec_of("ecr", role=f"arn:aws:iam::{ACCOUNT}:role/nobody-{number}")
        for number in range(MAX_SESSIONS + 8)
    ]

    answers = await asyncio.gather(*(world.generate(ECR, spec) for spec in specs), return_exceptions=True)

    assert {type(answer) for answer in answers} == {AuthFailed}
