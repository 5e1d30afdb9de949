"""One AWS double for all tests here, and an issuer of web identity tokens that it is told to trust."""

import base64
import json
import uuid

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import rsa

from keyferry.testing.aws import StrictAws
from keyferry.testing.issuer import Issuer

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


@pytest.fixture(scope="session")
def rsa_keys():
    """Some RSA keys: making them is slow."""
    return [rsa.generate_private_key(65537, 2048) for _ in range(5)]


@pytest.fixture
def make_issuer(tmp_path, rsa_keys):
    """Make issuers, at most three in one test; each has a key of its own."""
    made = []

    def make():
        issuer = Issuer(tmp_path, rsa_keys[len(made)])
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
