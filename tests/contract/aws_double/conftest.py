"""One AWS double for all tests here, and an issuer of web identity tokens that it is told to trust."""

import base64
import datetime as dt
import http.server
import ipaddress
import json
import ssl
import threading
import time
import uuid

import boto3
import jwt
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from keyferry.testing.aws import StrictAws

REGION = "eu-central-1"
SESSION = boto3.session.Session()
NO_RETRIES = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10)


@pytest.fixture(scope="session")
def running_aws():
    with StrictAws() as aws:
        yield aws


@pytest.fixture
def aws(running_aws):
    """The double without faults and with an empty call log."""
    running_aws.control.clear_faults()
    running_aws.control.session_lifetime(0)
    running_aws.control.reset_calls()
    yield running_aws
    running_aws.control.clear_faults()
    running_aws.control.session_lifetime(0)


@pytest.fixture
def admin(aws):
    return aws.administrator(region=REGION)


@pytest.fixture
def unique():
    """A name that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}"


def boto_client(aws, service, *, region=REGION, config=NO_RETRIES, **credentials):
    """A client as the product has it: nothing but an endpoint and credentials."""
    return SESSION.client(
        service, endpoint_url=aws.endpoint, region_name=region, config=config, **credentials
    )


def credentials_of(keys):
    return {"aws_access_key_id": keys.access_key_id, "aws_secret_access_key": keys.secret_access_key}


def session_credentials(answer):
    given = answer["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


@pytest.fixture
def client_for(aws):
    """Make a client from credentials: an `AccessKeys`, or an answer of STS."""

    def make(service, who, **options):
        credentials = session_credentials(who) if isinstance(who, dict) else credentials_of(who)
        return boto_client(aws, service, **credentials, **options)

    return make


@pytest.fixture
def anonymous_sts(aws):
    """A client without credentials that leaves all checking of parameters to the other side."""
    config = NO_RETRIES.merge(Config(signature_version=UNSIGNED, parameter_validation=False))
    return boto_client(aws, "sts", config=config)


class Issuer:
    """An OpenID Connect issuer on loopback, as a cluster is one: discovery document and keys over TLS."""

    def __init__(self, ca, certificate_context, key):
        self.ca_pem = ca
        self.keys = {}
        self.fetches = []
        self.served_issuer = None
        self.rsa = self.add_key("rsa-1", key)
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.fetches.append(self.path)
                content = issuer.document(self.path)
                body = json.dumps(content).encode()
                self.send_response(200 if content else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = certificate_context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def document(self, path):
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.served_issuer or self.url, "jwks_uri": f"{self.url}/openid/v1/jwks"}
        if path == "/openid/v1/jwks":
            return {"keys": [self._published(key_id, key) for key_id, key in self.keys.items()]}
        return {}

    def _published(self, key_id, key):
        maker = (
            jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        )
        return {**maker.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig"}

    def add_key(self, key_id, key):
        self.keys[key_id] = key
        return key

    def claims(self, subject, **changes):
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": subject,
            "aud": ["sts.amazonaws.com"],
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, subject, *, key_id="rsa-1", key=None, algorithm="RS256", **changes):
        signing = key or self.keys[key_id]
        return jwt.encode(self.claims(subject, **changes), signing, algorithm, headers={"kid": key_id})

    def public_pem(self, key_id="rsa-1"):
        return (
            self.keys[key_id]
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def make_certificates(directory):
    """A CA and a server certificate for 127.0.0.1; the CA as PEM, the server side as a TLS context."""
    now = dt.datetime.now(dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test CA {uuid.uuid4().hex[:8]}")])

    def build(name, public, extension, *, ca):
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
            )
            .add_extension(extension, critical=ca)
            .sign(ca_key, hashes.SHA256())
        )

    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    ca = build(ca_name, ca_key.public_key(), usage, ca=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = build(subject, key.public_key(), names, ca=False)
    pem = directory / f"{uuid.uuid4().hex}.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return ca.public_bytes(serialization.Encoding.PEM).decode(), context


@pytest.fixture(scope="session")
def rsa_keys():
    """Some RSA keys: making them is slow."""
    return [rsa.generate_private_key(65537, 2048) for _ in range(5)]


@pytest.fixture
def make_issuer(tmp_path, rsa_keys):
    """Make issuers, at most three in one test; each has a key of its own."""
    made = []

    def make():
        issuer = Issuer(*make_certificates(tmp_path), rsa_keys[len(made)])
        assert len(made) < 3
        made.append(issuer)
        return issuer

    yield make
    for issuer in made:
        issuer.close()


@pytest.fixture
def issuer(make_issuer, admin):
    """An issuer that the account trusts."""
    issuer = make_issuer()
    admin.trust_cluster(issuer.url, issuer.ca_pem)
    return issuer


def unsigned_token(claims, header):
    """A token with whatever header and no signature."""

    def part(content):
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    return f"{part(header)}.{part(claims)}."


@pytest.fixture
def forge():
    return unsigned_token
