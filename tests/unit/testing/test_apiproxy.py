"""The API server proxy passes everything on unchanged, and fails exactly what it is told to fail."""

import concurrent.futures
import datetime as dt
import http.client
import http.server
import ipaddress
import json
import queue
import select
import socket
import ssl
import threading
import time

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keyferry.testing.apiproxy import ApiProxy

SECRETS = "/api/v1/namespaces/team-a/secrets"
CONFIG_MAPS = "/api/v1/configmaps"


class Server:
    """A server over TLS that streams watches and notes what it is asked; the API server's place is tests/cluster."""

    def __init__(self, directory):
        self.writes = []
        self.headers = []
        self.watches = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                server.headers.append(dict(self.headers))
                if "watch=" in self.path:
                    return self.stream()
                return self.reply(200, {"kind": "List", "path": self.path})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.writes.append((self.command, self.path, body))
                self.reply(201, {"written": body.decode()})

            do_PATCH = do_POST  # noqa: N815 - the name that http.server looks for

            def reply(self, status, content):
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Audit-Id", "17")
                self.end_headers()
                self.wfile.write(body)

            def stream(self):
                lines = queue.Queue()
                server.watches.append(lines)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                while (piece := lines.get()) is not None:
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *args):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            request_queue_size = 512

            def handle_error(self, *args):
                pass

        pem, self.client_tls = certificate(directory)
        self.server_tls = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._server.daemon_threads = True
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def send(self, *pieces):
        for lines in self.watches:
            for piece in pieces:
                lines.put(piece)

    def close(self):
        self.send(None)
        self._server.shutdown()
        self._server.server_close()


def certificate(directory):
    """A certificate for 127.0.0.1 that signs itself: its file, and a client's TLS context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    pem = directory / "server.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(key.private_bytes(*form) + made)
    return pem, ssl.create_default_context(cadata=made.decode())


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.close()


@pytest.fixture
def proxy(server):
    with ApiProxy(server.url, tls=server.client_tls) as proxy:
        yield proxy


@pytest.fixture
def ask(proxy):
    """Ask through the proxy, without retries."""
    with urllib3.PoolManager(maxsize=64, retries=False) as pool:

        def ask(method, path, **options):
            return pool.request(method, proxy.url + path, **options)

        yield ask


@pytest.fixture
def watch(proxy, server):
    """Open a watch; its answer can be read line by line."""
    opened = []

    def watch(path=SECRETS):
        before = len(server.watches)
        host, _, port = proxy.url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        opened.append(connection)
        connection.request("GET", f"{path}?watch=true", headers={"User-Agent": "watcher"})
        answer = connection.getresponse()
        proxy.wait_for_watches(before + 1 if proxy.open_watches() else 1)
        return answer

    yield watch
    for connection in opened:
        connection.close()


# Passing on


def test_an_answer_comes_back_with_status_headers_and_body(ask):
    answer = ask("GET", f"{SECRETS}?labelSelector=a%3Db%2Fc")

    assert answer.status == 200
    assert answer.headers["Audit-Id"] == "17"
    assert answer.json() == {"kind": "List", "path": f"{SECRETS}?labelSelector=a%3Db%2Fc"}


def test_the_clients_own_headers_travel_on(ask, server):
    ask(
        "GET", SECRETS, headers={"Authorization": "Bearer t0ken", "User-Agent": "keyferry/1", "Accept": "a/b"}
    )

    (seen,) = server.headers
    assert (seen["Authorization"], seen["User-Agent"], seen["Accept"]) == (
        "Bearer t0ken",
        "keyferry/1",
        "a/b",
    )
    assert seen["Host"] == server.url.removeprefix("https://")


def test_a_write_reaches_the_server_once_and_whole(ask, server):
    body = json.dumps({"data": "x" * 900_000}).encode()

    answer = ask("POST", SECRETS, body=body)

    assert answer.status == 201
    assert server.writes == [("POST", SECRETS, body)]


def test_a_server_that_is_not_trusted_is_not_asked(server):
    with ApiProxy(server.url) as proxy, pytest.raises(urllib3.exceptions.ProtocolError):
        urllib3.request("GET", proxy.url + SECRETS, retries=False)

    assert server.headers == []


def test_clients_that_want_tls_get_it(server):
    with (
        ApiProxy(server.url, tls=server.client_tls, serve_tls=server.server_tls) as proxy,
        urllib3.PoolManager(ssl_context=server.client_tls, retries=False) as pool,
    ):
        assert proxy.url.startswith("https://127.0.0.1:")
        assert pool.request("GET", proxy.url + SECRETS).status == 200
        assert proxy.count(verb="list") == 1


def test_a_watch_streams_each_line_as_it_comes(server, watch):
    answer = watch()

    server.send(b'{"n":1}\n')
    assert answer.readline() == b'{"n":1}\n'
    server.send(b'{"n"', b':2}\n{"n":3}\n')
    assert [answer.readline(), answer.readline()] == [b'{"n":2}\n', b'{"n":3}\n']
    server.send(None)
    assert answer.readline() == b""


def test_two_hundred_watches_and_requests_beside_them(ask, server, watch, proxy):
    answers = [watch() for _ in range(200)]

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(lambda _: ask("GET", CONFIG_MAPS).status, range(300)))
    server.send(b"line\n")

    assert proxy.open_watches("secrets") == 200
    assert set(statuses) == {200}
    assert {answer.readline() for answer in answers} == {b"line\n"}


# Watches that fail


def is_silent(answer):
    """Whether the connection stays open without a byte for a while."""
    readable, _, _ = select.select([answer.fp.raw._sock], [], [], 0.1)
    return not readable


def test_cut_watches_end_and_others_go_on(server, proxy, watch):
    secrets, config_maps = watch(SECRETS), watch(CONFIG_MAPS)

    assert proxy.cut_watches("secrets") == 1

    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        secrets.read()
    server.send(b"line\n")
    assert config_maps.readline() == b"line\n"
    assert proxy.open_watches() == 1


def test_a_stalled_watch_stays_open_and_silent_until_it_is_resumed(server, proxy, watch):
    stalled, flowing = watch(SECRETS), watch(CONFIG_MAPS)
    proxy.stall_watches("secrets")

    server.send(b"line\n")

    assert flowing.readline() == b"line\n"
    assert is_silent(stalled)
    assert proxy.open_watches("secrets") == 1
    proxy.resume_watches()
    assert stalled.readline() == b"line\n"


def test_watches_opened_while_stalled_are_silent_too(server, proxy, watch):
    proxy.stall_watches()
    answer = watch()
    server.send(b"line\n")

    assert is_silent(answer)


@pytest.mark.parametrize(("code", "reason"), [(410, "Expired"), (500, "InternalError")])
def test_a_watch_error_comes_as_an_event_of_its_own_and_ends_the_watch(server, proxy, watch, code, reason):
    answer = watch()
    server.send(b'{"n":1}\n{"n":')
    assert answer.readline() == b'{"n":1}\n'

    assert proxy.send_watch_error(code) == 1

    event = json.loads(answer.readline())
    assert event["type"] == "ERROR"
    assert event["object"]["kind"] == "Status"
    assert (event["object"]["code"], event["object"]["reason"]) == (code, reason)
    assert answer.read() == b""


def test_a_connection_serves_again_after_a_watch_error(proxy, ask):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        watching = pool.submit(ask, "GET", f"{SECRETS}?watch=true")
        proxy.wait_for_watches(1)
        proxy.send_watch_error(410)
        assert b"Expired" in watching.result(10).data

    assert ask("GET", SECRETS).status == 200


# Requests that fail


def test_an_answer_is_replaced_as_often_as_told_and_the_server_not_asked(proxy, ask, server):
    fault = proxy.answer(429, times=2, retry_after_s=3, verb="create", resource="secrets")

    answers = [ask("POST", SECRETS, body=b"{}") for _ in range(3)]

    assert [one.status for one in answers] == [429, 429, 201]
    assert answers[0].headers["Retry-After"] == "3"
    assert answers[0].json()["reason"] == "TooManyRequests"
    assert (fault.hits, len(server.writes)) == (2, 1)


@pytest.mark.parametrize(
    ("status", "reason"), [(409, "Conflict"), (500, "InternalError"), (503, "ServiceUnavailable")]
)
def test_an_answer_is_a_status_object_until_the_fault_is_removed(proxy, ask, status, reason):
    fault = proxy.answer(status, path="/api/v1/namespaces/*/secrets")
    answer = ask("GET", SECRETS)
    assert (answer.status, answer.json()["code"], answer.json()["reason"]) == (status, status, reason)
    assert ask("GET", CONFIG_MAPS).status == 200

    proxy.remove(fault)

    assert ask("GET", SECRETS).status == 200


def test_an_answer_to_one_client_leaves_others_alone(proxy, ask):
    proxy.answer(403, user_agent="keyferry/*")

    assert ask("GET", SECRETS, headers={"User-Agent": "keyferry/1"}).status == 403
    assert ask("GET", SECRETS, headers={"User-Agent": "kubectl/1"}).status == 200


def test_a_lost_request_never_reaches_the_server(proxy, ask, server):
    proxy.lose_requests(times=1, method="POST")

    with pytest.raises(urllib3.exceptions.ProtocolError):
        ask("POST", SECRETS, body=b"{}")

    assert server.writes == []
    assert ask("POST", SECRETS, body=b"{}").status == 201


def test_a_lost_answer_leaves_the_write_done(proxy, ask, server):
    proxy.lose_answers(times=1, method="POST")

    with pytest.raises(urllib3.exceptions.ProtocolError):
        ask("POST", SECRETS, body=b'{"a":1}')

    assert server.writes == [("POST", SECRETS, b'{"a":1}')]


def test_a_delayed_request_comes_late(proxy, ask):
    proxy.delay(0.2, verb="list")
    began = time.monotonic()

    assert ask("GET", SECRETS).status == 200
    assert time.monotonic() - began >= 0.2


def test_a_held_request_reaches_the_server_when_it_is_let_go(proxy, ask, server):
    fault = proxy.hold(verb="create")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        writing = pool.submit(ask, "POST", SECRETS, body=b"{}")
        proxy.wait_for_requests(1, verb="create")
        assert server.writes == []

        proxy.remove(fault)

        assert writing.result(10).status == 201


def test_an_outage_refuses_connections_and_ends_watches_until_it_is_cleared(proxy, ask, watch):
    answer = watch()

    proxy.outage()

    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        ask("GET", SECRETS)
    proxy.clear()
    assert ask("GET", SECRETS).status == 200


def test_clear_ends_every_fault(proxy, ask):
    proxy.answer(500)
    proxy.lose_requests()

    proxy.clear()

    assert ask("GET", SECRETS).status == 200


# What was asked


def test_requests_are_counted_by_verb_resource_and_client(proxy, ask):
    ask("GET", SECRETS, headers={"User-Agent": "keyferry/1"})
    ask("POST", SECRETS, body=b"{}", headers={"User-Agent": "keyferry/1"})
    ask("PATCH", f"{SECRETS}/db/status", body=b"{}", headers={"User-Agent": "kopf"})

    assert proxy.count() == 3
    assert proxy.count(verb="list") == 1
    assert proxy.count(resource="secrets*", user_agent="keyferry/*") == 2
    assert proxy.count(resource="secrets/status", name="db", namespace="team-a") == 1
    assert proxy.user_agents() == {"keyferry/1", "kopf"}
    assert [one.status for one in proxy.requests()] == [200, 201, 201]
    proxy.reset_requests()
    assert proxy.count() == 0


def test_waiting_for_what_does_not_come_is_a_timeout(proxy):
    with pytest.raises(TimeoutError):
        proxy.wait_for_requests(1, timeout_s=0.05)
    with pytest.raises(TimeoutError):
        proxy.wait_for_watches(1, timeout_s=0.05)


def test_a_client_that_goes_away_ends_its_watch(proxy):
    host, _, port = proxy.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(f"GET {SECRETS}?watch=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        proxy.wait_for_watches(1)

    proxy.wait_for_no_watches()


def test_a_stopped_proxy_listens_no_more(server):
    with ApiProxy(server.url, tls=server.client_tls) as proxy:
        url = proxy.url
        assert urllib3.request("GET", url + SECRETS, retries=False).status == 200

    with pytest.raises(urllib3.exceptions.NewConnectionError):
        urllib3.request("GET", url + SECRETS, retries=False)
    with pytest.raises(RuntimeError, match="not running"):
        proxy.count()


def test_a_port_that_is_taken_is_an_error(proxy, server):
    with pytest.raises(RuntimeError, match="did not start"):
        ApiProxy(server.url, port=int(proxy.url.rpartition(":")[2])).start()
