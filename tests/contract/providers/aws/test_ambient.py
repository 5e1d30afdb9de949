"""The operator's own identity by the SDK's default chain: keys, pod IRSA, EKS Pod Identity; and its failures."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import asyncio
import datetime as dt
import http.server
import json
import threading

import pytest

from keyferry.errors import AuthFailed, KeyferryError, RemoteSecretNotFound, TimedOut, Unavailable
from keyferry.ports import Read, RemoteValue, Verdict
from keyferry.testing.aws import Fault
from keyferry.testing.eventually import eventually_async
from keyferry.testing.leaks import canary


@pytest.fixture
def ambient_client_of(provider, connect, toolbox):
    """A client of a store without an auth block; keywords change the aws block."""

    async def make(**changes):
        return await connect(provider, toolbox.view("aws", toolbox.aws_block(**changes)))

    return make


@pytest.fixture
def secret(administrator, aws, unique):
    administrator.put_secret(unique, "value")
    aws.control.reset_calls()
    return Read(unique)


@pytest.fixture
def operator_keys(administrator, monkeypatch, unique):
    """The operator's environment holds the keys of a user who may read the test's secrets."""
    keys = administrator.create_user(f"operator-{unique}", allow=[f"{unique}*"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_access_key)
    return f"arn:aws:iam::123456789012:user/operator-{unique}"


def principals(aws):
    return {call.principal for call in aws.control.calls(service="secretsmanager")}


async def test_keys_of_the_environment_are_used(ambient_client_of, secret, operator_keys, aws):
    (answer,) = await (await ambient_client_of()).read([secret])

    assert isinstance(answer, RemoteValue)
    assert {operator_keys} == principals(aws)


async def test_own_identity_may_assume_a_role(
    ambient_client_of, administrator, secret, operator_keys, aws, unique
):
    role = administrator.role_for_principals(f"target-{unique}", [operator_keys], allow=[f"{unique}*"])

    (answer,) = await (await ambient_client_of(role=role)).read([secret])

    assert isinstance(answer, RemoteValue)
    assert {f"arn:aws:sts::123456789012:assumed-role/target-{unique}/keyferry"} == principals(aws)


async def test_refused_role_names_the_operators_identity(
    ambient_client_of, administrator, operator_keys, unique
):
    role = administrator.role_for_principals(f"target-{unique}", ["arn:aws:iam::123456789012:user/nobody"])

    with pytest.raises(AuthFailed, match="the operator's own identity may not assume role"):
        await (await ambient_client_of(role=role)).validate()


async def test_wrong_keys_of_the_environment_are_found_by_validation(
    ambient_client_of, operator_keys, monkeypatch
):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    with pytest.raises(AuthFailed):
        await (await ambient_client_of()).validate()


async def test_auth_block_never_falls_back_to_the_environment(
    provider, connect, toolbox, cluster, operator_keys, secret
):
    """A store with wrong keys must not read with the operator's own."""
    cluster.put_secret("team-a", "keys", id="AKIAWRONGWRONGWRONG1", secret="wrong")
    client = await connect(provider, toolbox.view("aws", toolbox.aws_block(auth=toolbox.key_auth("keys"))))

    with pytest.raises(AuthFailed):
        await client.read([secret])


# Pod IRSA: a projected token in a file


@pytest.fixture
def pod_role(issuer, administrator, monkeypatch, tmp_path, unique):
    """The operator's pod has a role: environment and token file as EKS makes them. The file."""
    role = administrator.role_for_service_account(
        f"pod-{unique}", "keyferry", "keyferry", allow=[f"{unique}*"]
    )
    file = tmp_path / "token"
    file.write_text(issuer.token("system:serviceaccount:keyferry:keyferry", ["sts.amazonaws.com"]))
    monkeypatch.setenv("AWS_ROLE_ARN", role)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
    return file


@pytest.mark.parametrize("region", ["eu-central-1", None], ids=["with-a-region", "without-a-region"])
async def test_projected_token_of_the_pod_is_exchanged_once(
    ambient_client_of, secret, pod_role, aws, monkeypatch, region, unique
):
    if region:
        monkeypatch.setenv("AWS_REGION", region)
    client = await ambient_client_of()

    answers = [*await client.read([secret]), *await client.read([secret])]

    assert [RemoteValue] * 2 == [type(answer) for answer in answers]
    assert ["AssumeRoleWithWebIdentity"] == [call.action for call in aws.control.calls(service="sts")]
    assert all(f"assumed-role/pod-{unique}/" in principal for principal in principals(aws))


async def test_stores_without_auth_share_the_operators_session(ambient_client_of, secret, pod_role, aws):
    for region in ("eu-central-1", "eu-west-1"):
        await (await ambient_client_of(region=region)).read([secret])

    assert 1 == aws.control.count(service="sts")


async def test_expired_session_of_the_pod_is_renewed_with_the_token_of_the_day(
    ambient_client_of, secret, pod_role, issuer, aws
):
    client = await ambient_client_of()
    await client.read([secret])
    aws.control.expire_sessions()
    pod_role.write_text(issuer.token("system:serviceaccount:keyferry:keyferry", ["sts.amazonaws.com"]))
    with pytest.raises(AuthFailed):
        await client.read([secret])

    await client.renew()

    assert isinstance((await client.read([secret]))[0], RemoteValue)


async def test_refused_token_of_the_pod_is_told(ambient_client_of, secret, pod_role, issuer, leaks):
    token = issuer.token("system:serviceaccount:keyferry:another", ["sts.amazonaws.com"])
    pod_role.write_text(token)

    with pytest.raises(AuthFailed) as failure:
        await (await ambient_client_of()).read([secret])

    assert "default chain" in failure.value.message
    assert "IRSA" in failure.value.hint
    assert token not in str(failure.value)


async def test_missing_token_file_is_told_without_its_path(ambient_client_of, secret, pod_role):
    pod_role.unlink()

    with pytest.raises(AuthFailed, match="FileNotFoundError"):
        await (await ambient_client_of()).read([secret])


async def test_chain_that_hangs_holds_up_nobody_else(
    ambient_client_of, client_of, administrator, secret, pod_role, aws
):
    """Neither stores with credentials of their own in the same region, nor the start of clients elsewhere."""
    aws.control.add_fault(Fault(kind="hold", service="sts", action="AssumeRoleWithWebIdentity"))
    clients = [await ambient_client_of(prefix=f"{number}/") for number in range(5)]
    waiting = [asyncio.create_task(client.read([secret])) for client in clients for _ in range(8)]

    async def exchange_is_under_way():
        return aws.control.count(service="sts") == 1

    await eventually_async(exchange_is_under_way)

    answers = [
        *await (await client_of()).read([secret]),
        *await (await client_of(region="eu-west-1")).read([secret]),
    ]

    assert [RemoteValue, RemoteSecretNotFound] == [type(answer) for answer in answers]
    assert not any(task.done() for task in waiting)
    assert 1 == aws.control.count(service="sts")
    aws.control.clear_faults()
    await asyncio.gather(*waiting)


async def test_chain_keeps_the_time_limits_of_all_calls_and_asks_once(
    ambient_client_of, secret, pod_role, aws, monkeypatch
):
    monkeypatch.setattr("keyferry.providers.aws.settings.READ_TIMEOUT_S", 0.3)
    aws.control.add_fault(Fault(kind="hold", service="sts"))

    with pytest.raises(TimedOut, match=r"STS in .* did not answer in time"):
        await (await ambient_client_of()).read([secret])

    assert 1 == aws.control.count(service="sts")


async def test_unreachable_sts_is_an_outage_and_no_refusal(ambient_client_of, secret, pod_role, aws):
    aws.control.add_fault(Fault(kind="cut-before", service="sts"))

    with pytest.raises(Unavailable, match="STS"):
        await (await ambient_client_of()).read([secret])


# EKS Pod Identity: an agent on the node


def in_minutes(minutes):
    return (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Agent:
    """The agent of EKS Pod Identity, on loopback: gives credentials to whoever brings the token of the file."""

    def __init__(self, token):
        self.credentials = {}
        self.status = 200
        self.asked = 0
        agent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                agent.asked += 1
                allowed = self.headers.get("Authorization") == token
                body = json.dumps(agent.credentials if allowed else {"message": canary("agent")}).encode()
                self.send_response(agent.status if allowed else 400)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/credentials"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def agent(administrator, aws, monkeypatch, tmp_path, unique):
    """An agent that gives the operator a role; environment and token file as EKS makes them."""
    import boto3

    user = administrator.create_user(f"agent-{unique}")
    arn = f"arn:aws:iam::123456789012:user/agent-{unique}"
    role = administrator.role_for_principals(f"pod-{unique}", [arn], allow=[f"{unique}*"])
    sts = boto3.client(
        "sts",
        endpoint_url=aws.endpoint,
        region_name="eu-central-1",
        aws_access_key_id=user.access_key_id,
        aws_secret_access_key=user.secret_access_key,
    )
    given = sts.assume_role(RoleArn=role, RoleSessionName="pod")["Credentials"]
    file = tmp_path / "eks-pod-identity-token"
    file.write_text("pod-token")
    made = Agent("pod-token")
    made.credentials = {
        "AccessKeyId": given["AccessKeyId"],
        "SecretAccessKey": given["SecretAccessKey"],
        "Token": given["SessionToken"],
        "AccountId": "123456789012",
        "Expiration": in_minutes(60),
    }
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", made.url)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(file))
    aws.control.reset_calls()
    yield made
    made.close()


async def test_credentials_of_the_node_agent_are_used_and_kept(ambient_client_of, secret, agent, aws, unique):
    client = await ambient_client_of()

    answers = [*await client.read([secret]), *await client.read([secret])]

    assert [RemoteValue] * 2 == [type(answer) for answer in answers]
    assert {f"arn:aws:sts::123456789012:assumed-role/pod-{unique}/pod"} == principals(aws)
    assert 1 == agent.asked
    assert Verdict.READY is await client.validate()


async def test_credentials_of_the_node_agent_are_renewed_before_their_end(
    provider, clock, ambient_client_of, secret, agent
):
    client = await ambient_client_of()
    agent.credentials["Expiration"] = in_minutes(8)
    await client.read([secret])
    asked = agent.asked
    agent.credentials["Expiration"] = in_minutes(60)
    clock.ahead = dt.timedelta(minutes=7, seconds=30)

    await client.read([secret])

    assert asked + 1 == agent.asked


async def test_agent_that_refuses_is_told_without_its_words(
    ambient_client_of, secret, agent, monkeypatch, tmp_path, leaks
):
    wrong = tmp_path / "wrong"
    wrong.write_text("another token")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(wrong))
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)

    with pytest.raises(AuthFailed) as failure:
        await (await ambient_client_of()).read([secret])

    assert "Pod Identity" in failure.value.hint
    assert [] == leaks.look_at_error("agent", failure.value)


# None at all


async def test_surroundings_without_credentials_say_what_to_do(ambient_client_of, secret):
    with pytest.raises(AuthFailed) as failure:
        await (await ambient_client_of()).read([secret])

    assert "found no AWS credentials" in failure.value.message
    assert "auth block" in failure.value.hint


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"AWS_PROFILE": "absent"}, id="profile-that-is-not-there"),
        pytest.param({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/x"}, id="agent-elsewhere"),
        pytest.param({"AWS_ACCESS_KEY_ID": "AKIAALONE"}, id="half-a-key"),
        pytest.param({"AWS_STS_ENDPOINT": "nowhere", "AWS_SECRETSMANAGER_ENDPOINT": "nowhere"}, id="no-url"),
    ],
)
async def test_contradictory_surroundings_are_told_and_no_bug(
    ambient_client_of, secret, monkeypatch, variables
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(KeyferryError) as failure:
        await (await ambient_client_of()).read([secret])

    assert failure.value.hint
