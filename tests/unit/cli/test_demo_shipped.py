"""What the demo applies is what the repository ships, and an installed package has it too."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
import yaml

from keyferry.cli.demo import shipped
from keyferry.cli.demo.programs import isolate
from keyferry.cli.demo.story import ROLE, SERVICE_ACCOUNT, STORE_KEY, TARGET, TYPO
from keyferry.testing.aws import DEFAULT_ACCOUNT

ROOT = Path(__file__).resolve().parents[3]


def documents(path: Path) -> dict[tuple[str, str], dict]:
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(path.read_text())}


def test_rbac_is_the_repositorys():
    assert shipped.rbac() == (ROOT / "deploy/rbac/rbac.yaml").read_text()


def test_rbac_of_an_installed_package_is_its_own_copy(tmp_path: Path):
    copy = tmp_path / shipped.RBAC
    copy.parent.mkdir(parents=True)
    copy.write_text("kind: ClusterRole\n")

    assert shipped.rbac(tmp_path) == "kind: ClusterRole\n"


def test_incomplete_installation_says_so(tmp_path: Path):
    with pytest.raises(click.ClickException, match="incomplete"):
        shipped.rbac(tmp_path / "lib" / "keyferry")


def test_installation_is_all_that_the_repository_tells_to_apply():
    told = [one for one in yaml.safe_load_all(shipped.installation()) if one]
    files = [*ROOT.glob("crds/*.yaml"), *ROOT.glob("deploy/admission/*.yaml"), ROOT / shipped.RBAC]
    applied = [one for file in files for one in yaml.safe_load_all(file.read_text()) if one]

    def identity(one):
        return one["kind"], one["metadata"]["name"], one["metadata"].get("namespace", "")

    assert sorted(map(identity, told)) == sorted(map(identity, applied))


def test_samples_name_what_the_story_sets_up():
    samples = documents(shipped.TEAM_A)
    account = samples["ServiceAccount", SERVICE_ACCOUNT]
    wanted = samples["ExternalSecret", TARGET]

    assert account["metadata"]["annotations"] == {
        "eks.amazonaws.com/role-arn": f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/{ROLE}"
    }
    assert wanted["spec"]["dataFrom"] == [{"extract": {"key": STORE_KEY}}]


def test_samples_fit_the_screen():
    assert max(len(line) for line in shipped.TEAM_A.read_text().splitlines()) <= 100
    assert len(shipped.TEAM_A.read_text().splitlines()) <= 24


def test_mistake_is_in_its_sample():
    assert shipped.MISTAKES.read_text().count(TYPO) == 1


def test_paths_are_short_where_we_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)

    assert shipped.from_here(tmp_path / "a" / "b.yaml") == "a/b.yaml"
    assert shipped.from_here(Path("/elsewhere/b.yaml")) == "/elsewhere/b.yaml"


def test_users_own_settings_are_kept_away():
    environment = {"AWS_PROFILE": "mine", "aws_region": "eu-west-1", "HOME": "/home/me", "NO_PROXY": "intra"}
    isolate(environment)

    assert environment == {
        "HOME": "/home/me",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "NO_PROXY": "intra,127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
