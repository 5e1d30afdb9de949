"""How a manifest names a remote secret at AWS: name, ARN, prefix, stage, version id; and what it gets."""

# ruff: noqa: PLR0917 - fixtures are asked for by name

from __future__ import annotations

import pytest

from keyferry.errors import AccessDenied, ProviderError, RemoteSecretNotFound
from keyferry.ports import Read, RemoteValue


async def value_of(client, key, version="", *, metadata=False):
    (answer,) = await client.read([Read(key, version, metadata)])
    assert isinstance(answer, RemoteValue), answer
    return answer.value.reveal()


@pytest.mark.parametrize("form", ["name", "arn", "arn-without-suffix"])
async def test_secret_is_found_by(client_of, administrator, unique, form):
    administrator.put_secret(f"{unique}/db", "value")
    arn = administrator.secret_arn(f"{unique}/db")
    key = {"name": f"{unique}/db", "arn": arn, "arn-without-suffix": arn[:-7]}[form]

    assert b"value" == await value_of(await client_of(), key)


async def test_prefix_stands_before_every_key(client_of, administrator, aws, unique):
    administrator.put_secret(f"{unique}/app/db", "value")
    aws.control.reset_calls()

    assert b"value" == await value_of(await client_of(prefix=f"{unique}/app/"), "db")
    assert [[f"{unique}/app/db"]] == [call.secret_ids for call in aws.control.calls()]


async def test_prefix_is_part_of_what_errors_name(client_of, unique):
    (answer,) = await (await client_of(prefix=f"{unique}/")).read([Read("absent")])

    assert f'remote secret "{unique}/absent" does not exist in eu-central-1' == answer.message


async def test_stage_selects_the_version(client_of, administrator, unique):
    administrator.put_secret(unique, "first")
    administrator.put_secret(unique, "second")
    administrator.put_secret(unique, "staged", stages=["BLUE"])
    client = await client_of()

    assert [b"second", b"second", b"first", b"staged"] == [
        await value_of(client, unique, stage) for stage in ("", "AWSCURRENT", "AWSPREVIOUS", "BLUE")
    ]


async def test_version_id_selects_the_version_and_is_told(client_of, administrator, unique):
    first = administrator.put_secret(unique, "first")
    administrator.put_secret(unique, "second")
    client = await client_of()

    (answer,) = await client.read([Read(unique, f"uuid/{first}")])

    assert (b"first", first) == (answer.value.reveal(), answer.version)


async def test_current_version_tells_its_id(client_of, administrator, unique):
    administrator.put_secret(unique, "first")
    second = administrator.put_secret(unique, "second")

    (answer,) = await (await client_of()).read([Read(unique)])

    assert second == answer.version


async def test_secret_without_that_stage_is_told_apart_from_no_secret(client_of, administrator, unique):
    administrator.put_secret(unique, "value")

    (answer,) = await (await client_of()).read([Read(unique, "GREEN")])

    assert RemoteSecretNotFound is type(answer)
    assert f'remote secret "{unique}" has no version "GREEN" in eu-central-1' == answer.message


async def test_version_without_an_id_never_reads_the_current_one(client_of, administrator, aws, unique):
    administrator.put_secret(unique, "value")
    aws.control.reset_calls()

    (answer,) = await (await client_of()).read([Read(unique, "uuid/")])

    assert ProviderError is type(answer)
    assert f'remote secret "{unique}": version "uuid/" names no version id' == answer.message
    assert [] == aws.control.calls()


async def test_text_and_bytes_are_both_read(client_of, administrator, unique):
    administrator.put_secret(f"{unique}/text", "text")
    administrator.put_secret(f"{unique}/bytes", b"\x00\xff\x80bytes")
    client = await client_of()

    assert (b"text", b"\x00\xff\x80bytes") == (
        await value_of(client, f"{unique}/text"),
        await value_of(client, f"{unique}/bytes"),
    )


# metadataPolicy Fetch


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        pytest.param({}, "{}", id="none"),
        pytest.param(
            {"owner": "team-a", "Env": "prod", "a": ""}, '{"Env":"prod","a":"","owner":"team-a"}', id="sorted"
        ),
        pytest.param(
            {"html": "<a href='x?y&z'>"},
            '{"html":"\\u003ca href=\'x?y\\u0026z\'\\u003e"}',
            id="as-go-escapes-html",
        ),
        pytest.param(
            {"näme": "wert 🔐", "q": 'a"b\\c'}, '{"näme":"wert 🔐","q":"a\\"b\\\\c"}', id="unicode-and-quotes"
        ),
    ],
)
async def test_metadata_are_the_tags_as_json(client_of, administrator, unique, tags, expected):
    administrator.put_secret(unique, "value", tags=tags)

    assert expected == (await value_of(await client_of(), unique, metadata=True)).decode()


async def test_metadata_need_no_right_to_read_the_value(
    provider, connect, toolbox, administrator, cluster, unique
):
    administrator.put_secret(unique, "value", tags={"a": "b"})
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*",'
        ' "Action": "secretsmanager:DescribeSecret"}]}'
    )
    keys = administrator.create_user(f"describer-{unique}", policy=policy)
    cluster.put_secret("team-a", "keys", id=keys.access_key_id, secret=keys.secret_access_key)
    client = await connect(provider, toolbox.view("aws", toolbox.aws_block(auth=toolbox.key_auth("keys"))))

    (value,) = await client.read([Read(unique)])

    assert b'{"a":"b"}' == await value_of(client, unique, metadata=True)
    assert isinstance(value, AccessDenied)


async def test_metadata_of_an_absent_secret_is_an_absent_secret(client_of, unique):
    (answer,) = await (await client_of()).read([Read(unique, metadata=True)])

    assert RemoteSecretNotFound is type(answer)
