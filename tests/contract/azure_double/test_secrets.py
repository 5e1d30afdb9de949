"""Secrets of a vault, as Microsoft's SDK sees them: values, versions, attributes, lists, deletion."""

import datetime as dt

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError


@pytest.fixture
def officer(admin, app, vault, client_for):
    """A client that may do everything with the vault's secrets."""
    admin.grant(vault, app, "Key Vault Secrets Officer")
    return client_for(vault, app)


def inner(error):
    """The codes of a Key Vault error: (status, code, inner code)."""
    told = error.value.error
    return error.value.status_code, told.code, (told.innererror or {}).get("code")


def test_what_an_administrator_puts_can_be_read_in_any_case_and_by_version(admin, vault, client):
    first = admin.put_secret(vault, "Db-Password", "one", tags={"team": "a"}, content_type="text/plain")
    second = admin.put_secret(vault, "Db-Password", "two")

    assert client.get_secret("db-password").value == "two"
    old = client.get_secret("DB-PASSWORD", first)
    assert (old.value, old.properties.tags) == ("one", {"team": "a"})
    assert old.properties.content_type == "text/plain"
    assert old.properties.version == first != second
    assert old.properties.recovery_level == "Recoverable+Purgeable"


def test_the_sdk_sets_reads_and_changes_a_secret(officer):
    soon = dt.datetime(2031, 5, 1, tzinfo=dt.UTC)

    made = officer.set_secret("db", "wert äöü 🔑", tags={"a": "b"}, expires_on=soon)
    changed = officer.update_secret_properties("db", tags={"c": "d"}, content_type="text/x")

    assert officer.get_secret("db").value == made.value == "wert äöü 🔑"
    assert (changed.expires_on, changed.tags, changed.content_type) == (soon, {"c": "d"}, "text/x")


@pytest.mark.parametrize(
    ("name", "version"), [("absent", ""), ("db", "0" * 32)], ids=["no-secret", "no-version"]
)
def test_what_is_not_there_is_not_found(name, version, admin, vault, client):
    admin.put_secret(vault, "db", "value")

    with pytest.raises(ResourceNotFoundError) as error:
        client.get_secret(name, version)

    assert inner(error) == (404, "SecretNotFound", None)


@pytest.mark.parametrize(("name", "version"), [("not_a_name", ""), ("db", "latest")])
def test_a_name_or_version_that_is_none_is_a_bad_parameter(name, version, admin, vault, client):
    admin.put_secret(vault, "db", "value")

    with pytest.raises(HttpResponseError) as error:
        client.get_secret(name, version)

    assert inner(error) == (400, "BadParameter", None)


def test_a_disabled_version_cannot_be_read_and_an_older_one_can(admin, vault, client):
    old = admin.put_secret(vault, "db", "old")
    admin.put_secret(vault, "db", "new", enabled=False)

    with pytest.raises(HttpResponseError) as error:
        client.get_secret("db")

    assert inner(error) == (403, "Forbidden", "SecretDisabled")
    assert client.get_secret("db", old).value == "old"
    assert [one.enabled for one in client.list_properties_of_secrets()] == [False]
    admin.change(vault, "db", enabled=True)
    assert client.get_secret("db").value == "new"


def test_secrets_out_of_their_time_can_be_read_and_say_so(admin, vault, client):
    """Both moments are only told; nothing is refused because of them."""
    past, future = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
    admin.put_secret(vault, "over", "a", expires=past)
    admin.put_secret(vault, "early", "b", not_before=future)

    over, early = client.get_secret("over"), client.get_secret("early")

    assert (over.value, over.properties.expires_on) == ("a", past)
    assert (early.value, early.properties.not_before) == ("b", future)


@pytest.mark.parametrize("number", [0, 1, 25, 26, 60])
def test_lists_come_in_pages_of_25_and_show_no_values(number, admin, azure, vault, client):
    for n in range(number):
        admin.put_secret(vault, f"s-{n:03}", "hidden", tags={"n": str(n)})

    pages = [[one.name for one in page] for page in client.list_properties_of_secrets().by_page()]

    assert [f"s-{n:03}" for n in range(number)] == [name for page in pages for name in page]
    assert all(len(page) <= 25 for page in pages)
    listed = [call for call in azure.control.calls(path="/secrets", host=f"{vault}.*") if call.status == 200]
    assert max(1, -(-number // 25)) == len(listed)


def test_a_list_may_begin_with_an_empty_page(admin, vault, client):
    admin.configure_vault(vault, sparse=True)
    admin.put_secret(vault, "db", "value")

    pages = [[one.name for one in page] for page in client.list_properties_of_secrets().by_page()]

    assert pages == [[], ["db"]]


def test_versions_are_listed_with_their_ids(admin, vault, client):
    made = {admin.put_secret(vault, "db", str(n)) for n in range(30)}

    listed = list(client.list_properties_of_secret_versions("db"))

    assert made == {one.version for one in listed}
    assert len(listed) == 30


def test_deletion_can_be_taken_back_until_the_purge(officer):
    officer.set_secret("db", "value")
    deleted = officer.begin_delete_secret("db").result()

    assert deleted.name == "db"
    assert deleted.scheduled_purge_date - deleted.deleted_date == dt.timedelta(days=90)
    with pytest.raises(ResourceNotFoundError):
        officer.get_secret("db")
    assert [one.name for one in officer.list_deleted_secrets()] == ["db"]
    with pytest.raises(ResourceExistsError) as error:
        officer.set_secret("db", "again")
    assert inner(error) == (409, "Conflict", "ObjectIsDeletedButRecoverable")

    officer.begin_recover_deleted_secret("db").wait()
    assert officer.get_secret("db").value == "value"

    officer.begin_delete_secret("db").wait()
    officer.purge_deleted_secret("db")
    assert list(officer.list_deleted_secrets()) == []
    assert officer.set_secret("db", "new").value == "new"


def test_an_administrator_deletes_recovers_and_purges(admin, vault, client):
    admin.put_secret(vault, "db", "value")
    admin.delete(vault, "db")
    with pytest.raises(ResourceNotFoundError) as error:
        client.get_secret("db")
    assert inner(error) == (404, "SecretNotFound", None)

    admin.recover(vault, "db")

    assert client.get_secret("db").value == "value"
    admin.delete(vault, "db", purge=True)
    with pytest.raises(RuntimeError, match="SecretNotFound"):
        admin.recover(vault, "db")


@pytest.mark.parametrize(("size", "fits"), [(25 * 1024, True), (25 * 1024 + 1, False)])
def test_a_value_has_at_most_25_kib(size, fits, officer):
    value = "x" * size
    if fits:
        assert value == officer.set_secret("db", value).value
        return
    with pytest.raises(HttpResponseError) as error:
        officer.set_secret("db", value)
    assert inner(error) == (400, "BadParameter", None)


def test_two_vaults_have_nothing_in_common(admin, app, vault, client_for):
    other = f"{vault}-2"
    admin.create_vault(other)
    admin.grant(other, app, "Key Vault Secrets User")
    admin.put_secret(vault, "db", "value")

    with pytest.raises(ResourceNotFoundError):
        client_for(other, app).get_secret("db")


def test_answers_have_key_vaults_headers(admin, app, vault, ask, ask_token):
    admin.put_secret(vault, "db", "value")
    token = ask_token(client_id=app.client_id, client_secret=app.secret)

    headers = ask(
        "GET",
        f"https://{vault}.vault.azure.net/secrets/db?api-version=7.4",
        headers={"Authorization": f"Bearer {token}", "x-ms-client-request-id": "mine"},
    )[2]

    assert headers["x-ms-keyvault-region"] == "westeurope"
    assert headers["x-ms-client-request-id"] == "mine"
    assert headers["x-ms-request-id"]
