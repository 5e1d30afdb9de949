"""What a store holds, selected and decoded, is what the Secret holds: byte by byte."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode

import pytest

from keyferry.testing.builders import Object, entry, external_secret, extract, remote, store
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant

WORD = canary("word")
DOCUMENT = (
    '{"user":"WORD","port":5432,"ratio":1.50,"big":1e6,"long":9007199254740993,"on":true,"off":false,'
    '"none":null,"empty":"","escaped":"a\\u00e9\\n<&>","dotted.key":"dot WORD",'
    '"nested": { "deep": [1, {"pw": "inner WORD"}], "n" :null },'
    '"users":[{"name":"a","pw":"AWORD"},{"name":"b","pw":"BWORD"}]}'
).replace("WORD", WORD)
NESTED = '{ "deep": [1, {"pw": "inner WORD"}], "n" :null }'.replace("WORD", WORD)
NESTED_UGLY = '{"deep":[1,{"pw":"inner WORD"}],"n":null}'.replace("WORD", WORD)
NUL = f"before\0{WORD}"


@pytest.mark.parametrize(
    ("property_", "expected"),
    [
        pytest.param("user", WORD, id="text"),
        pytest.param("port", "5432", id="whole-number"),
        pytest.param("long", "9007199254740993", id="number-beyond-float64-kept"),
        pytest.param("ratio", "1.5", id="fraction-printed-anew"),
        pytest.param("big", "1000000", id="exponent-printed-anew"),
        pytest.param("on", "true", id="true"),
        pytest.param("off", "false", id="false"),
        pytest.param("none", "", id="null-is-empty"),
        pytest.param("empty", "", id="empty-text"),
        pytest.param("escaped", "aé\n<&>", id="escapes-resolved"),
        pytest.param("dotted\\.key", f"dot {WORD}", id="escaped-dot"),
        pytest.param(
            "nested",
            NESTED,
            id="object-raw-with-its-spacing",
        ),
        pytest.param("nested.deep.1.pw", f"inner {WORD}", id="nested-path"),
        pytest.param("nested.deep.#", "2", id="length"),
        pytest.param("users.#.pw", f'["A{WORD}","B{WORD}"]', id="each-element"),
        pytest.param('users.#(name=="b").pw', f"B{WORD}", id="query"),
        pytest.param('users.#(pw%"A*")#.name', '["a"]', id="query-for-all-matches"),
        pytest.param("users.@reverse.0.name", "b", id="modifier"),
        pytest.param("nested|@ugly", NESTED_UGLY, id="piped-modifier"),
        pytest.param("us?r", WORD, id="wildcard"),
    ],
)
def test_property_selects_one_value_of_a_json_document(
    tenant: Tenant, operator: OperatorProcess, property_: str, expected: str
) -> None:
    tenant.create(store({"doc": DOCUMENT}), external_secret("app", entry("v", "doc", property=property_)))

    tenant.wait_synced("app")
    assert tenant.values("app") == {"v": expected}


def test_without_property_the_value_is_taken_as_it_is(tenant: Tenant, operator: OperatorProcess) -> None:
    values = {"doc": DOCUMENT, "lines": f"  {WORD}\r\n\n", "number": "1.50", "nul": NUL}
    tenant.create(store(values), external_secret("app", *(entry(key, key) for key in values)))

    tenant.wait_synced("app")
    assert tenant.values("app") == values


def test_extract_makes_a_key_of_each_member_and_keeps_numbers_as_written(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"doc": DOCUMENT}), external_secret("app", extract("doc")))

    tenant.wait_synced("app")
    assert tenant.values("app") == {
        "user": WORD,
        "port": "5432",
        "ratio": "1.50",
        "big": "1e6",
        "long": "9007199254740993",
        "on": "true",
        "off": "false",
        "none": "",
        "empty": "",
        "escaped": "aé\n<&>",
        "dotted.key": f"dot {WORD}",
        "nested": NESTED,
        "users": f'[{{"name":"a","pw":"A{WORD}"}},{{"name":"b","pw":"B{WORD}"}}]',
    }


def test_extract_with_property_takes_the_members_of_what_the_path_selects(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"doc": DOCUMENT}), external_secret("app", extract("doc", property="users.1")))

    tenant.wait_synced("app")
    assert tenant.values("app") == {"name": "b", "pw": f"B{WORD}"}


def test_version_selects_that_version(tenant: Tenant, operator: OperatorProcess) -> None:
    versions = [remote("db", WORD), remote("db", f"1{WORD}", "v1"), remote("db", f'{{"a":"2{WORD}"}}', "v2")]
    tenant.create(
        store(versions),
        external_secret(
            "app",
            entry("current", "db"),
            entry("old", "db", version="v1"),
            entry("part", "db", version="v2", property="a"),
            extract("db", version="v2"),
        ),
    )

    tenant.wait_synced("app")
    assert tenant.values("app") == {"current": WORD, "old": f"1{WORD}", "part": f"2{WORD}", "a": f"2{WORD}"}


def test_metadata_of_a_fake_secret_is_its_value(tenant: Tenant, operator: OperatorProcess) -> None:
    """As with the established operator: a fake remote secret has no tags that could be fetched."""
    tenant.create(
        store({"doc": DOCUMENT}),
        external_secret("app", entry("v", "doc", metadataPolicy="Fetch", property="user")),
    )

    tenant.wait_synced("app")
    assert tenant.values("app") == {"v": WORD}


URL_UNSAFE = b"\xfb\xff\xfe"
PLAIN = "no base64: %"


@pytest.mark.parametrize(
    ("strategy", "stored", "expected"),
    [
        pytest.param("None", b64encode(WORD.encode()).decode(), b64encode(WORD.encode()).decode(), id="none"),
        pytest.param("Base64", b64encode(WORD.encode()).decode(), WORD, id="base64"),
        pytest.param("Base64", b64encode(WORD.encode()).decode() + "\n", WORD, id="base64-with-line-end"),
        pytest.param("Base64URL", urlsafe_b64encode(URL_UNSAFE).decode(), URL_UNSAFE, id="base64url"),
        pytest.param("Auto", b64encode(URL_UNSAFE).decode(), URL_UNSAFE, id="auto-standard"),
        pytest.param("Auto", urlsafe_b64encode(URL_UNSAFE).decode(), URL_UNSAFE, id="auto-url"),
        pytest.param("Auto", PLAIN + WORD, PLAIN + WORD, id="auto-leaves-plain-text"),
        pytest.param("Auto", "test1234", b"\xb5\xeb-\xd7m\xf8", id="auto-decodes-what-looks-like-base64"),
    ],
)
def test_decoding_strategy_decodes(
    tenant: Tenant, operator: OperatorProcess, strategy: str, stored: str, expected: str | bytes
) -> None:
    tenant.create(
        store({"one": stored, "doc": json.dumps({"member": stored})}),
        external_secret(
            "app", entry("v", "one", decodingStrategy=strategy), extract("doc", decodingStrategy=strategy)
        ),
    )
    text = expected if isinstance(expected, str) else expected.decode(errors="surrogateescape")

    tenant.wait_synced("app")
    assert tenant.values("app") == {"v": text, "member": text}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        pytest.param("Default", ["a_b", "plain", "x_y_z"], id="underscore"),
        pytest.param("Unicode", ["a_U002f_b", "plain", "x_U0020_y_U003a_z"], id="code-point"),
        pytest.param("", ["a_b", "plain", "x_y_z"], id="unset"),
    ],
)
def test_conversion_strategy_makes_keys_valid(
    tenant: Tenant, operator: OperatorProcess, strategy: str, expected: list[str]
) -> None:
    chosen = {"conversionStrategy": strategy} if strategy else {}
    document = json.dumps({"a/b": WORD, "plain": WORD, "x y:z": WORD, "": WORD})
    tenant.create(store({"doc": document}), external_secret("app", extract("doc", **chosen)))

    tenant.wait_synced("app")
    assert tenant.values("app") == dict.fromkeys(expected, WORD)


def test_null_bytes_are_kept_where_the_policy_ignores_them(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(
        store({"one": NUL, "doc": json.dumps({"b": NUL})}),
        external_secret("app", entry("a", "one", nullBytePolicy="Ignore"), extract("doc")),
    )

    tenant.wait_synced("app")
    assert tenant.values("app") == {"a": NUL, "b": NUL}


ABSENT = "there is no remote secret 'absent'. Add it to spec.provider.fake.data, or correct the key"
NO_PROPERTY = "the remote secret has no property 'pasword'; it has 'a/b', 'a_b', 'nul', 'password'"
NO_OBJECT = (
    "its value is not a JSON object, which extract needs. Use data with remoteRef to take the value as it is"
)
AS_STORED = "Set decodingStrategy to None if the value is stored as it is"
COLLISION = (
    "secret name collision during conversion: 'a/b' and 'a_b' both become 'a_b'. Rename one of the keys at the "
    "store, or use conversionStrategy Unicode or a rewrite"
)
NULL_BYTE = (
    "contains a null byte and nullBytePolicy is Fail. "
    "Check how the value was stored, or set nullBytePolicy to Ignore"
)
UNICODE = {"conversionStrategy": "Unicode"}


@pytest.mark.parametrize(
    ("refused", "where", "cause"),
    [
        pytest.param(entry("v", "absent"), "spec.data[0] (key: absent)", ABSENT, id="no-such-secret"),
        pytest.param(
            extract("absent"),
            "spec.dataFrom[0].extract (key: absent)",
            ABSENT,
            id="no-such-secret-to-extract",
        ),
        pytest.param(
            entry("v", "absent", version="v9"),
            "spec.data[0] (key: absent)",
            ABSENT.replace("'absent'", "'absent' in version 'v9'"),
            id="no-such-version",
        ),
        pytest.param(
            entry("v", "doc", property="pasword"),
            "spec.data[0] (key: doc)",
            NO_PROPERTY,
            id="no-such-property",
        ),
        pytest.param(
            entry("v", "one", property="x"),
            "spec.data[0] (key: one)",
            "the remote secret has no property 'x'; its value is not a JSON object with keys",
            id="property-of-plain-text",
        ),
        pytest.param(
            extract("one"), "spec.dataFrom[0].extract (key: one)", NO_OBJECT, id="extract-of-plain-text"
        ),
        pytest.param(
            entry("v", "one", decodingStrategy="Base64"),
            "spec.data[0] (key: one)",
            f"could not decode the value for 'v': the value is not valid Base64. {AS_STORED}",
            id="invalid-base64",
        ),
        pytest.param(
            extract("only", decodingStrategy="Base64URL"),
            "spec.dataFrom[0].extract (key: only)",
            f"could not decode the value of 'password': the value is not valid Base64URL. {AS_STORED}",
            id="invalid-base64url-in-extract",
        ),
        pytest.param(extract("doc"), "spec.dataFrom[0].extract (key: doc)", COLLISION, id="keys-collide"),
        pytest.param(
            entry("v", "nul", nullBytePolicy="Fail"),
            "spec.data[0] (key: nul)",
            f"the value for 'v' {NULL_BYTE}",
            id="null-byte",
        ),
        pytest.param(
            extract("doc", nullBytePolicy="Fail", **UNICODE),
            "spec.dataFrom[0].extract (key: doc)",
            f"the value of 'nul' {NULL_BYTE}",
            id="null-byte-in-extract",
        ),
    ],
)
def test_value_that_cannot_be_taken_is_told_with_place_and_cause(
    tenant: Tenant, operator: OperatorProcess, refused: Object, where: str, cause: str
) -> None:
    values = {
        "one": f"% {WORD}",
        "only": json.dumps({"password": f"% {WORD}"}),
        "doc": json.dumps({"password": WORD, "a/b": WORD, "a_b": WORD, "nul": NUL}),
        "nul": NUL,
    }
    tenant.create(store(values), external_secret("app", refused))
    told = f'error processing {where}, err: SecretStore "{tenant.namespace}/store": {cause}'

    tenant.wait_failed("app")
    expected = ("False", "SecretSyncedError", f"could not get secret data from provider: {told}")
    assert tenant.told("app") == expected
    assert tenant.find("Secret", "app") is None


def test_key_that_the_api_server_does_not_take_is_told_in_its_words(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """Letters of all scripts pass our check, as the contract wants."""
    tenant.create(store({"doc": json.dumps({"schlüssel": WORD})}), external_secret("app", extract("doc")))

    tenant.wait_failed(
        "app", 'could not update secret: Secret "app" is invalid: data[schlüssel]: Invalid value'
    )


def test_several_failures_are_told_by_the_first_and_their_number(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(
        store({"db": WORD}),
        external_secret("app", entry("a", "db"), entry("b", "gone"), entry("c", "gone too")),
    )

    tenant.wait_failed("app", "2 entries failed, the first: error processing spec.data[1] (key: gone), err: ")
    assert tenant.find("Secret", "app") is None
