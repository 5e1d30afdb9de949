"""Faults strike what they are meant for, as Microsoft's SDK would meet them."""

import json
import socket
import threading

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import ClientSecretCredential


@pytest.fixture
def ready(admin, vault, client):
    """A client that has its token, and a secret to read."""
    admin.put_secret(vault, "db", "value")
    client.get_secret("db")
    return client


def test_throttling_has_its_header_and_ends_after_so_many(azure, vault, ready):
    azure.control.throttle(service="vault", host=f"{vault}.*", retry_after="7", times=1)

    with pytest.raises(HttpResponseError) as error:
        ready.get_secret("db")

    assert error.value.status_code == 429
    assert error.value.response.headers["Retry-After"] == "7"
    assert error.value.error.code == "Throttled"
    assert ready.get_secret("db").value == "value"


def test_a_vault_throttles_by_itself_above_its_limit(admin, vault, ready):
    admin.configure_vault(vault, limit=(3, 60))
    for _ in range(3):
        ready.get_secret("db")

    with pytest.raises(HttpResponseError) as error:
        ready.get_secret("db")

    assert (error.value.status_code, error.value.error.code) == (429, "Throttled")
    assert 1 <= int(error.value.response.headers["Retry-After"]) <= 60
    admin.configure_vault(vault, limit=[])
    assert ready.get_secret("db").value == "value"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 500}, HttpResponseError),
        ({"status": 403, "code": "Forbidden/ForbiddenByPolicy"}, HttpResponseError),
        ({"kind": "garbled"}, DecodeError),
        ({"kind": "empty"}, json.JSONDecodeError),
        # Through a proxy the SDK's transport takes it for the proxy's failure.
        ({"kind": "cut-before"}, (ServiceResponseError, ServiceRequestError)),
        ({"kind": "cut-body"}, (IncompleteReadError, ServiceResponseError)),
    ],
    ids=["500", "403", "garbled", "empty", "cut-before", "cut-body"],
)
def test_each_kind_is_met_as_what_it_is(fault, error, azure, vault, ready):
    azure.control.fail(host=f"{vault}.*", path="/secrets/db*", times=1, **fault)

    with pytest.raises(error):
        ready.get_secret("db")

    assert ready.get_secret("db").value == "value"


def test_a_fault_of_one_path_or_service_spares_the_others(admin, azure, vault, ready):
    admin.put_secret(vault, "other", "value")
    fault = azure.control.fail(path="/secrets/other*", status=503)
    azure.control.fail(service="entra", status=503)

    assert ready.get_secret("db").value == "value"
    with pytest.raises(HttpResponseError):
        ready.get_secret("other")
    assert azure.control.fault_hits()[fault] == 1
    azure.control.remove_fault(fault)
    assert ready.get_secret("other").value == "value"


@pytest.mark.parametrize(
    "fault",
    [{"status": 429, "headers": {"Retry-After": "7"}}, {"status": 503}, {"status": 400, "code": "50196"}],
    ids=["429", "503", "aadsts"],
)
def test_the_token_endpoint_fails_in_its_own_form(fault, azure, app):
    azure.control.fail(service="entra", path="*/token", body="something internal", **fault)
    credential = ClientSecretCredential(app.tenant, app.client_id, app.secret, retry_total=0)

    with pytest.raises((ClientAuthenticationError, HttpResponseError)):
        credential.get_token("https://vault.azure.net/.default")

    assert azure.control.calls(path="*/token")[0].status == fault["status"]


def test_a_held_request_goes_on_when_it_is_released(azure, vault, ready):
    azure.control.fail(kind="hold", host=f"{vault}.*")
    answers = []
    reader = threading.Thread(target=lambda: answers.append(ready.get_secret("db").value))
    reader.start()
    azure.control.wait_for_calls_in_flight(host=f"{vault}.*")
    assert answers == []

    azure.control.clear_faults()
    reader.join(10)

    assert answers == ["value"]


def test_a_delay_is_as_long_as_it_says(azure, vault, ready):
    azure.control.fail(kind="delay", seconds=0.2, host=f"{vault}.*")

    ready.get_secret("db")

    assert azure.control.calls(host=f"{vault}.*")[-1].seconds >= 0.2


def test_an_endless_answer_does_not_end_by_itself(azure, vault, ready):
    azure.control.fail(kind="endless", host=f"{vault}.*")
    ended = threading.Event()
    failures = []

    def read():
        try:
            ready.get_secret("db")
        except Exception as error:  # noqa: BLE001 - whatever it is
            failures.append(error)
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    azure.control.wait_for_calls_in_flight(host=f"{vault}.*")
    assert not ended.wait(0.2)

    azure.control.clear_faults()

    assert ended.wait(10)
    assert failures


@pytest.mark.parametrize("outage", ["refuse", "reset"])
def test_an_outage_is_met_by_all_and_ends(outage, azure, ready):
    azure.control.outage(outage)

    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        ready.get_secret("db")

    azure.control.outage("none")
    assert ready.get_secret("db").value == "value"


def test_during_a_refusal_the_port_stays_taken(azure):
    azure.control.outage("refuse")

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", azure.ready.port), 1)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", azure.ready.port))


def test_a_vault_that_is_none_can_be_played(admin, azure, vault, ready):
    """Lists without end or that lead elsewhere, and challenges that say nothing: what a store may meet."""
    admin.configure_vault(vault, endless=True)
    pages = ready.list_properties_of_secrets().by_page()
    assert [list(next(pages)) for _ in range(30)] == [[]] * 30

    admin.configure_vault(vault, endless=False, sparse=True, next_host="elsewhere.example.com")
    with pytest.raises(ServiceRequestError):
        list(ready.list_properties_of_secrets())
    assert azure.control.refused_hosts() == ["elsewhere.example.com"]

    admin.configure_vault(vault, raw_challenge="nonsense")
    azure.control.revoke_tokens()
    with pytest.raises(HttpResponseError) as error:
        ready.get_secret("db")
    assert error.value.status_code == 401


def test_what_cannot_be_configured_is_an_error(admin, vault):
    with pytest.raises(RuntimeError, match="ValueError: permissions"):
        admin.configure_vault(vault, permissions=None)
