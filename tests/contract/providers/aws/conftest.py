"""The aws provider on the strict double: a provider of the test's own, identities, an issuer of tokens."""

from __future__ import annotations

import http.server
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from keyferry.errors import KeyferryError
from keyferry.ports import Read
from keyferry.providers.aws import AWSProvider
from keyferry.testing.clock import MovableClock
from keyferry.testing.issuer import Issuer


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def provider(aws, clock) -> AsyncIterator[AWSProvider]:
    made = AWSProvider(clock=clock)
    yield made
    await made.close()


@pytest.fixture
def reader(administrator, cluster, unique):
    """A user who may read everything whose name begins with the test's own; its keys are Secret `keys`."""
    keys = administrator.create_user(f"reader-{unique}", allow=[f"{unique}*"])
    cluster.put_secret("team-a", "keys", id=keys.access_key_id, secret=keys.secret_access_key)
    return keys


@pytest.fixture
def user_arn(unique):
    """The ARN of the user that `reader` makes."""
    return f"arn:aws:iam::123456789012:user/reader-{unique}"


@pytest.fixture
def client_of(provider, connect, toolbox, reader):
    """A client with the reader's keys; keywords change the aws block."""

    async def make(**changes):
        block = toolbox.aws_block(auth=toolbox.key_auth("keys")) | changes
        return await connect(provider, toolbox.view("aws", block))

    return make


@pytest.fixture
def fail():
    """The failure that comes of one read, returned or raised."""

    async def of(client, read):
        try:
            (answer,) = await client.read([read])
        except KeyferryError as error:
            return error
        assert isinstance(answer, KeyferryError), answer
        return answer

    return of


class ScriptedAWS:
    """An HTTP endpoint that answers with what a test gives it, byte by byte, whatever is asked.

    For what no AWS says and what still arrives: cut, replaced and surprising answers.
    """

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[str] = []
        scripted = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                scripted.asked.append(self.headers.get("X-Amz-Target", "").rpartition(".")[2])
                status, body = scripted.answers.pop(0) if len(scripted.answers) > 1 else scripted.answers[0]
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Nothing to standard error."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def scripted(monkeypatch, aws) -> Iterator[ScriptedAWS]:
    """A scripted endpoint in place of Secrets Manager, Parameter Store and STS."""
    made = ScriptedAWS()
    for service in ("SECRETS_MANAGER", "SSM", "STS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", made.url)
    yield made
    made.close()


@pytest.fixture
async def scripted_client(scripted, connect, toolbox, cluster):
    """A client of the scripted endpoint."""
    provider = AWSProvider()
    cluster.put_secret("team-a", "keys", id="AKIAEXAMPLEEXAMPLE00", secret="secret")
    block = toolbox.aws_block(auth=toolbox.key_auth("keys"))
    yield await connect(provider, toolbox.view("aws", block))
    await provider.close()


@pytest.fixture
async def scripted_parameters(provider, scripted, connect, toolbox, cluster):
    """A client of the scripted endpoint, for Parameter Store."""
    cluster.put_secret("team-a", "keys", id="AKIAEXAMPLEEXAMPLE00", secret="secret")
    block = toolbox.aws_block(service="ParameterStore", auth=toolbox.key_auth("keys"))
    return await connect(provider, toolbox.view("aws", block))


@pytest.fixture
def let(administrator, cluster, unique):
    """Make a user with a policy; its keys are Secret `keys`, or the one named. Gives its ARN."""
    made = []

    def make(policy, secret="keys"):
        made.append(f"reader-{unique}-{len(made)}")
        keys = administrator.create_user(made[-1], policy=policy)
        cluster.put_secret("team-a", secret, id=keys.access_key_id, secret=keys.secret_access_key)
        return f"arn:aws:iam::123456789012:user/{made[-1]}"

    return make


@pytest.fixture
def parameter_reader(administrator, let, unique):
    """A user who may read all parameters below the test's own path, in every way but lists; its ARN."""
    return let(administrator.parameter_policy([f"/{unique}/*", f"{unique}*"]))


@pytest.fixture
def parameters_of(provider, connect, toolbox):
    """A client of Parameter Store with the keys of a Secret; keywords change the aws block."""

    async def make(secret="keys", **changes):
        block = toolbox.aws_block(service="ParameterStore", auth=toolbox.key_auth(secret)) | changes
        return await connect(provider, toolbox.view("aws", block))

    return make


@pytest.fixture
def put_parameters(administrator, aws, unique):
    """Make parameters `/<unique>/<name>`, each with its name as its value; their reads. Forgets the calls."""

    def make(*names, **more):
        for name in names:
            administrator.put_parameter(f"/{unique}/{name}", name, **more)
        aws.control.reset_calls()
        return [Read(f"/{unique}/{name}") for name in names]

    return make


@pytest.fixture
def parameter_calls(aws):
    """The actions that Parameter Store was asked for, in order, the administrator's left out."""

    def actions():
        calls = aws.control.calls(service="ssm")
        return [call.action for call in calls if not call.principal.endswith("keyferry-administrator")]

    return actions


@pytest.fixture(scope="session")
def running_issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    issuer = Issuer(tmp_path_factory.mktemp("issuer"), rsa.generate_private_key(65537, 2048))
    yield issuer
    issuer.close()


@pytest.fixture
def issuer(running_issuer, administrator, cluster) -> Issuer:
    """An issuer that AWS trusts; the cluster's tokens are its."""
    administrator.trust_cluster(running_issuer.url, running_issuer.ca_pem)
    cluster.issue = running_issuer.token
    return running_issuer


@pytest.fixture
def web_reader(issuer, administrator, cluster, unique):
    """ServiceAccount team-a/app with a role that reads what begins with the test's own name; the role's ARN."""
    role = administrator.role_for_service_account(f"app-{unique}", "team-a", "app", allow=[f"{unique}*"])
    cluster.put_service_account("team-a", "app", role=role)
    return role


@pytest.fixture
def web_client_of(provider, connect, toolbox, web_reader):
    """A client with the role of ServiceAccount team-a/app; keywords change the aws block."""

    async def make(**changes):
        block = toolbox.aws_block(auth={"jwt": {"serviceAccountRef": {"name": "app"}}}) | changes
        return await connect(provider, toolbox.view("aws", block))

    return make
