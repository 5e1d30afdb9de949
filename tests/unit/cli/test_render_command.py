"""`keyferry render`: what it prints, what it says, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from keyferry.cli.render import render
from keyferry.testing.builders import (
    cluster_external_secret,
    entry,
    external_secret,
    extract,
    find,
    generated,
)
from keyferry.testing.builders import store as store_of
from keyferry.testing.eventually import eventually
from keyferry.testing.leaks import canary

PASSWORD = canary("render-password")
HEAD = "apiVersion: external-secrets.io/v1\nmetadata: {name: a}\n"
CLUSTER = HEAD.replace("{", "{{").replace("}", "}}") + "kind: ClusterExternalSecret\nspec: {}\n"
STORE = HEAD + "kind: SecretStore\nspec: {provider: a}\n"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: [a]\n"
VALUES = {"db": {"user": "app", "password": PASSWORD}, "token": PASSWORD, "token@v1": "older"}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """Renders manifests with the values above."""

    def run(*manifests: dict, flags: tuple[str, ...] = (), values: object = VALUES) -> Result:
        (tmp_path / "manifests").mkdir(exist_ok=True)
        (tmp_path / "manifests/all.yaml").write_text(yaml.safe_dump_all(manifests))
        (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
        paths = ["-f", str(tmp_path / "manifests"), "--values", str(tmp_path / "values.yaml")]
        return CliRunner().invoke(render, [*paths, *flags])

    return run


def of(*entries: dict, name: str = "app", **template: object) -> dict:
    """An ExternalSecret of the namespace team-a with a template."""
    target = {"target": {"template": template}} if template else {}
    return external_secret(name, *entries, metadata={"namespace": "team-a"}, **target)


def config_map(name: str, **data: str) -> dict:
    metadata = {"name": name, "namespace": "team-a"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def printed(result: Result) -> dict:
    """The only object on standard output."""
    assert result.exit_code == 0, result.stderr
    (one,) = yaml.safe_load_all(result.stdout)
    return one


def test_a_secret_is_printed_as_a_manifest_with_readable_values(run):
    result = run(of(extract("db"), data={"url": "db://{{ .user }}:{{ .password }}"}))

    assert printed(result) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "app", "namespace": "team-a"},
        "type": "Opaque",
        "stringData": {"url": f"db://app:{PASSWORD}"},
    }


def test_values_that_are_no_text_are_printed_as_base64(run):
    result = run(of(entry("a", "token"), data={"raw": '{{ "/w==" | b64dec }}'}))

    assert printed(result)["data"] == {"raw": "/w=="}


def test_several_texts_of_lines_are_printed_as_blocks(run):
    result = run(of(entry("a", "token"), data={"conf": "one\ntwo\n"}))

    assert "  conf: |\n    one\n    two\n" in result.stdout


@pytest.mark.parametrize(
    ("entries", "data"),
    [
        pytest.param([entry("v", "token")], {"v": PASSWORD}, id="value"),
        pytest.param([entry("v", "token", version="v1")], {"v": "older"}, id="version"),
        pytest.param([entry("v", "db", property="user")], {"v": "app"}, id="property"),
        pytest.param([extract("db")], {"user": "app", "password": PASSWORD}, id="extract"),
        pytest.param([find(name={"regexp": "^tok.*n$"})], {"token": PASSWORD}, id="find"),
    ],
)
def test_values_stand_for_the_store(run, entries, data):
    assert printed(run(of(*entries)))["stringData"] == data


def test_values_stand_for_a_generator(run):
    values = {"Password/db": {"password": PASSWORD}}

    assert printed(run(of(generated("Password", "db")), values=values))["stringData"] == {
        "password": PASSWORD
    }


def test_templates_are_found_among_the_manifests(run):
    items = {"configMap": {"name": "texts", "items": [{"key": "conf"}]}}
    result = run(of(extract("db"), templateFrom=[items]), config_map("texts", conf="user={{ .user }}"))

    assert printed(result)["stringData"] == {"conf": "user=app"}


def test_a_cluster_external_secret_is_rendered_as_what_it_makes(run):
    one = cluster_external_secret("fanned", external_secret("x", entry("v", "token")))

    assert printed(run(one))["metadata"]["name"] == "fanned"


def test_other_kinds_are_passed_over(run):
    assert printed(run(store_of({"db": "x"}), of(entry("v", "token"))))["kind"] == "Secret"


def test_json_is_a_list(run):
    result = run(of(entry("v", "token")), of(entry("w", "token"), name="other"), flags=("-o", "json"))

    assert [one["metadata"]["name"] for one in json.loads(result.stdout)["items"]] == ["app", "other"]


def test_values_can_be_hidden(run):
    result = run(of(extract("db"), data={"url": "{{ .password }}"}), flags=("--hide-values",))

    assert PASSWORD not in result.output
    assert printed(result)["data"] == {"url": f"({len(PASSWORD)} bytes)"}


def test_one_that_fails_is_told_with_its_place_and_the_others_are_printed(run):
    result = run(
        of(extract("db"), name="bad", data={"url": "\n  {{ .nope }}"}), of(entry("v", "token"), name="good")
    )

    assert result.exit_code == 1
    assert "all.yaml:1: ExternalSecret team-a/bad: spec.target.template.data" in result.stderr
    assert 'line 2, column 5: map has no entry for key "nope"' in result.stderr
    assert '"password", "user"' in result.stderr
    assert PASSWORD not in result.stderr
    assert result.stderr.splitlines()[-1] == "1 of 2 failed"
    assert [one["metadata"]["name"] for one in yaml.safe_load_all(result.stdout)] == ["good"]


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        pytest.param(of(entry("v", "nope")), "the values have no remote secret 'nope'", id="remote-key"),
        pytest.param(
            of(generated("Password", "db")), "do not say what Password/db generates", id="generator"
        ),
        pytest.param(of(find(tags={"a": "b"})), "the values have no tags", id="tags"),
        pytest.param(
            of(extract("db"), templateFrom=[{"configMap": {"name": "no", "items": [{"key": "a"}]}}]),
            'ConfigMap "team-a/no" is not among the manifests',
            id="config-map",
        ),
        pytest.param(of(entry("v", "token"), data={"v": "{{ .v"}), "unclosed action", id="syntax"),
        pytest.param(of(entry("v", "token")) | {"spec": {"data": 1}}, "the spec is invalid", id="spec"),
        pytest.param(external_secret("app", entry("v", "token"), refreshInterval="1d"), "1d", id="interval"),
        pytest.param(
            external_secret("app", entry("v", "token"), metadata={"labels": ["a"]}), "no mapping", id="labels"
        ),
    ],
)
def test_what_fails_is_said(run, manifest, why):
    result = run(manifest)

    assert result.exit_code == 1
    assert why in result.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("a: [", "manifests.yaml:1: it is no YAML", id="no-yaml"),
        pytest.param("kind: ConfigMap\n", "there is no ExternalSecret", id="nothing"),
        pytest.param("&a\nkind: List\nitems: [*a]\n", "an alias stands within what it stands for", id="loop"),
        pytest.param(CLUSTER.format("[a]"), ":1: spec is no mapping", id="spec"),
        pytest.param(CLUSTER.format("{externalSecretMetadata: a}"), "Metadata is no mapping", id="metadata"),
        pytest.param(STORE, "provider is no mapping", id="store"),
        pytest.param(CONFIG_MAP, "data is no mapping", id="config-map"),
        pytest.param("\xff", "it is not UTF-8", id="no-text"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, text, why):
    (tmp_path / "manifests.yaml").write_bytes(text.encode("latin-1"))
    result = CliRunner().invoke(render, ["-f", str(tmp_path / "manifests.yaml")])

    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr


def test_a_file_that_is_not_there_is_named(tmp_path):
    result = CliRunner().invoke(render, ["-f", str(tmp_path / "no.yaml")])

    assert (result.exit_code, result.stdout) == (2, "")
    assert "no.yaml: there is no such file" in result.stderr


def test_values_that_are_no_mapping_are_told_without_their_content(run):
    result = run(of(entry("v", "token")), values=[PASSWORD])

    assert result.exit_code == 2
    assert "it is no mapping of remote keys to values" in result.stderr
    assert PASSWORD not in result.output


@pytest.mark.parametrize(
    "text", ["*{}", "!{} x", "!h!{} x", "'{}", "{}: x", "!!binary {}%", "!!int {}", "&a [*a, {}]"]
)
def test_values_that_are_no_yaml_are_told_without_their_content(tmp_path, text):
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(of(entry("v", "db"))))
    (tmp_path / "values.yaml").write_text(f"db: {text.format(PASSWORD)}\n")
    paths = ["-f", str(tmp_path / "all.yaml"), "--values", str(tmp_path / "values.yaml")]
    result = CliRunner().invoke(render, paths)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "values.yaml" in result.stderr
    assert PASSWORD not in result.stderr


def test_aliases_that_stand_for_more_than_there_is_room_are_refused(tmp_path):
    """Eight lines of them would be a billion values."""
    lines = [f"k{number}: &k{number} [{','.join([f'*k{number - 1}'] * 9)}]" for number in range(1, 9)]
    (tmp_path / "all.yaml").write_text("\n".join(["k0: &k0 [a]", *lines]))
    result = CliRunner().invoke(render, ["-f", str(tmp_path / "all.yaml")])

    assert result.exit_code == 2
    assert "it has more than 1000000 values when its aliases are written out" in result.stderr


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ({"creationPolicy": "None"}, "creationPolicy None: nothing is written"),
        ({"deletionPolicy": "Delete"}, "deletionPolicy Delete: the Secret is deleted"),
        ({}, "deletionPolicy Retain: the Secret stays as it is"),
    ],
)
def test_template_is_not_rendered_where_the_operator_would_write_nothing(run, target, told):
    target = {"template": {"data": {"v": "{{ .nope }}"}}, **target}
    result = run(external_secret("app", find(name={"regexp": "^nothing$"}), target=target))

    assert (result.exit_code, result.stdout) == (0, "")
    assert told in result.stderr


def test_what_is_merged_into_a_secret_is_printed(run):
    target = {"creationPolicy": "Merge", "template": {"data": {"v": "{{ .v }}"}}}
    result = run(external_secret("app", entry("v", "token"), target=target))

    assert printed(result)["stringData"] == {"v": PASSWORD}
    assert "merged into one that has to exist" in result.stderr


def test_manifests_come_from_standard_input(tmp_path):
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(VALUES))
    result = CliRunner().invoke(
        render,
        ["-f", "-", "--values", str(tmp_path / "values.yaml")],
        input=yaml.safe_dump(of(entry("v", "token"))),
    )

    assert printed(result)["stringData"] == {"v": PASSWORD}


def test_delimiters_can_be_others(run):
    one = of(extract("db"), data={"url": "{{ x }}<<.user>>"})
    result = run(one, flags=("--template-left-delimiter", "<<", "--template-right-delimiter", ">>"))

    assert printed(result)["stringData"] == {"url": "{{ x }}app"}


def test_a_change_of_a_file_is_rendered_again(tmp_path):
    manifests, values, output = (tmp_path / name for name in ("all.yaml", "values.yaml", "output"))
    manifests.write_text(yaml.safe_dump(of(extract("db"), data={"url": "{{ .nope }}"})))
    values.write_text(yaml.safe_dump({"db": {"user": "first"}}))
    arguments = ["render", "-f", str(manifests), "--values", str(values), "--watch"]
    with output.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "keyferry", *arguments], stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: "watching" in output.read_text())
        manifests.write_text(yaml.safe_dump(of(extract("db"), data={"url": "{{ .user }}"})))
        eventually(lambda: "url: first" in output.read_text())
        other = tmp_path / "other"  # as editors do
        other.write_text(yaml.safe_dump({"db": {"user": "second"}}))
        other.replace(values)
        eventually(lambda: "url: second" in output.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_properties_are_taken_as_the_stores_own_kind_takes_them(run):
    """For Azure Key Vault a path first, and then one key; extracted tags have the name in front."""
    block = {"vaultUrl": "https://shop.vault.azure.net", "authType": "ManagedIdentity"}
    azure = store_of(provider={"azurekv": block})
    azure["metadata"]["namespace"] = "team-a"
    wanted = of(
        entry("dotted", "db", property="tls.crt"),
        entry("owner", "db", metadataPolicy="Fetch", property="owner"),
        extract("db", metadataPolicy="Fetch"),
    )

    result = run(azure, wanted, values={"db": {"tls.crt": "x"}, "db@metadata": {"owner": "team-a"}})

    assert {"dotted": "x", "owner": "team-a", "db_owner": "team-a"} == printed(result)["stringData"]
