"""`keyferry crds` prints, writes and checks the generated files."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner, Result

from keyferry.api.admission import manifests, policies
from keyferry.api.crd import KINDS, crd, file_name, has_legacy_version
from keyferry.cli.crds import HEADER, checkout, crds, files, to_yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The definitions are long, and read ten times faster in C."""
load = functools.partial(yaml.load, Loader=LOADER)
load_all = functools.partial(yaml.load_all, Loader=LOADER)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(crds, list(arguments))


def test_the_checkout_holds_what_the_models_make():
    result = run("--check")

    assert (result.exit_code, result.output) == (0, "")


def test_all_definitions_are_printed_as_one_stream():
    printed = list(load_all(run().output))

    assert [definition["spec"]["names"]["kind"] for definition in printed] == [kind.kind for kind in KINDS]


def test_definitions_that_serve_the_old_version_are_printed_on_their_own():
    printed = list(load_all(run("--serve-v1beta1").output))
    served = {
        definition["spec"]["names"]["kind"]: [
            (version["name"], version["served"], version["storage"])
            for version in definition["spec"]["versions"]
        ]
        for definition in printed
    }

    kinds = ("ExternalSecret", "SecretStore", "ClusterSecretStore", "ClusterExternalSecret")
    assert served == {kind: [("v1", True, True), ("v1beta1", True, False)] for kind in kinds}


def test_policies_are_printed_on_their_own():
    printed = list(load_all(run("--admission").output))

    assert [(manifest["kind"], manifest["metadata"]["name"]) for manifest in printed] == [
        (kind, f"{name}.keyferry.io")
        for name in ("externalsecrets", "clusterexternalsecrets", "secretstores", "generators")
        for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    ]


def test_files_are_written_below_the_root(tmp_path):
    result = run("--write", "--root", str(tmp_path))

    assert result.exit_code == 0
    expected = files()
    assert expected == {path: (tmp_path / path).read_text("utf-8") for path in expected}
    assert all(text.startswith(HEADER) for text in expected.values())


def test_nothing_is_written_twice(tmp_path):
    run("--write", "--root", str(tmp_path))
    again = run("--write", "--root", str(tmp_path))

    assert again.output == ""


def test_a_changed_file_is_reported_with_what_to_do(tmp_path):
    run("--write", "--root", str(tmp_path))
    changed = tmp_path / "crds/external-secrets.io_secretstores.yaml"
    changed.write_text(changed.read_text("utf-8").replace("Namespaced", "Cluster"), "utf-8")

    result = run("--check", "--root", str(tmp_path))

    assert result.exit_code == 1
    assert "crds/external-secrets.io_secretstores.yaml differs" in result.output
    assert "make generate" in result.output


def test_a_missing_file_is_reported(tmp_path):
    run("--write", "--root", str(tmp_path))
    (tmp_path / "deploy/admission/secretstores.yaml").unlink()

    result = run("--check", "--root", str(tmp_path))

    assert result.exit_code == 1
    assert "deploy/admission/secretstores.yaml differs" in result.output


def test_a_file_that_is_no_longer_generated_is_reported_and_removed(tmp_path):
    run("--write", "--root", str(tmp_path))
    old = tmp_path / "crds/external-secrets.io_olds.yaml"
    old.write_text(f"{HEADER}kind: Old\n", "utf-8")
    by_hand = tmp_path / "deploy/admission/own.yaml"
    by_hand.write_text("kind: Own\n", "utf-8")

    check = run("--check", "--root", str(tmp_path))
    run("--write", "--root", str(tmp_path))

    assert check.exit_code == 1
    assert (old.exists(), by_hand.exists()) == (False, True)


@pytest.mark.parametrize("options", [("--check", "--write"), ("--admission", "--serve-v1beta1")])
def test_two_things_at_once_are_refused(options):
    assert run(*options).exit_code == 2


def test_an_installed_package_has_no_files_to_check(tmp_path):
    shutil.copytree(
        checkout() / "operator/keyferry",
        tmp_path / "site/keyferry",
        ignore=shutil.ignore_patterns("__pycache__", "localcluster", "testing"),
    )

    result = subprocess.run(
        [sys.executable, "-m", "keyferry", "crds", "--check"],
        cwd=tmp_path / "site",
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert "name one with --root" in result.stderr


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(
            {"a": "true", "b": "no", "c": "1", "d": "~", "e": "", "f": " x", "g": "x "}, id="ambiguous"
        ),
        pytest.param({"a": True, "b": 1, "c": None, "d": {}, "e": []}, id="scalars"),
        pytest.param({"a: b": "c: d", "e #": "f # g", "- h": "- i"}, id="indicators"),
        pytest.param({"a": 'say "x"', "b": "it's", "c": "'x'", "d": "\\", "e": "µs", "f": "\t"}, id="quotes"),
        pytest.param({"a": "one\ntwo\n  three", "b": ["one\ntwo"]}, id="lines"),
        pytest.param({"a": [{"b": [1, {"c": "d"}], "e": {"f": ["g"]}}, {}, [], "h"]}, id="nested"),
    ],
)
def test_written_yaml_reads_back_as_it_was(value):
    assert yaml.safe_load(to_yaml(value)) == value


def test_generated_files_read_back_as_the_objects():
    texts = files()

    for kind in KINDS:
        assert load(texts[f"crds/{file_name(kind)}"]) == crd(kind)
    for kind in filter(has_legacy_version, KINDS):
        old = texts[f"deploy/crds-v1beta1/{file_name(kind)}"]
        assert load(old) == crd(kind, serve_legacy=True)
    for policy in policies():
        text = texts[f"deploy/admission/{policy.resource}.yaml"]
        assert list(load_all(text)) == manifests(policy)
