"""What all generators ask of their spec: paths for errors, references, values."""

from __future__ import annotations

import pytest

from keyferry.api.generators.cluster import ClusterGeneratorBlocks
from keyferry.api.generators.github import GithubAccessTokenSpec
from keyferry.api.generators.kinds import GENERATORS
from keyferry.api.generators.local import FakeSpec, MFASpec, UUIDSpec
from keyferry.api.generators.quay import QuayAccessTokenSpec
from keyferry.api.meta import SecretKeySelector
from keyferry.api.model import convert
from keyferry.core.generator_spec import check_selectors, spec_path, typed, value_of, where
from keyferry.errors import AuthFailed, ForbiddenError, SpecError
from keyferry.secretdata import SecretBytes, SecretData
from keyferry.testing.leaks import LeakDetector, canary


def mfa(**selector):
    return convert({"secret": selector}, MFASpec)


@pytest.mark.parametrize("kind", [one.kind for one in GENERATORS])
def test_path_in_a_namespaced_generator_is_its_spec(kind):
    assert "spec" == spec_path(kind, cluster_scoped=False)


@pytest.mark.parametrize("kind", [one.kind for one in GENERATORS])
def test_path_in_a_cluster_generator_is_a_field_that_there_is(kind):
    path = spec_path(kind, cluster_scoped=True)

    assert path.removeprefix("spec.generator.") in ClusterGeneratorBlocks.__struct_encode_fields__


def test_spec_of_the_kind_is_passed_on():
    spec = UUIDSpec()

    assert spec is typed(spec, UUIDSpec)


@pytest.mark.parametrize("spec", [FakeSpec(), {}, None])
def test_spec_of_another_kind_is_refused(spec):
    with pytest.raises(SpecError, match="UUIDSpec"):
        typed(spec, UUIDSpec)


def test_complete_selector_is_fine():
    assert check_selectors(mfa(name="a", key="b"), "team-a", "spec") is None


@pytest.mark.parametrize("selector", [{"name": "a"}, {"key": "b"}, {}])
def test_incomplete_selector_is_told_by_its_path(selector):
    with pytest.raises(SpecError, match=r"^spec\.secret must have a name and a key"):
        check_selectors(mfa(**selector), "team-a", "spec")


def test_selector_inside_of_others_is_found():
    auth = {"privateKey": {"secretRef": {"name": "a"}}}
    spec = convert({"appID": "1", "installID": "2", "auth": auth}, GithubAccessTokenSpec)

    with pytest.raises(SpecError, match=r"^x\.auth\.privateKey\.secretRef must"):
        check_selectors(spec, "", "x")


def test_reference_to_a_service_account_needs_no_key():
    spec = convert({"robotAccount": "r", "serviceAccountRef": {"name": "a"}}, QuayAccessTokenSpec)

    assert check_selectors(spec, "team-a", "spec") is None


def test_reference_of_a_namespaced_generator_stays_at_home():
    with pytest.raises(ForbiddenError, match=r"spec\.secret\.namespace"):
        check_selectors(mfa(name="a", key="b", namespace="team-b"), "team-a", "spec")


@pytest.mark.parametrize(
    ("own", "named", "expected"),
    [
        pytest.param("team-a", "", "team-a", id="namespaced"),
        pytest.param("team-a", "team-b", "team-a", id="namespaced-that-names-another"),
        pytest.param("", "", "referent", id="cluster-wide"),
        pytest.param("", "team-b", "team-b", id="cluster-wide-that-names-one"),
    ],
)
def test_reference_leads_to_a_namespace(own, named, expected):
    assert expected == where(SecretKeySelector(name="a", namespace=named), own, "referent")


def test_reference_without_any_namespace_is_refused():
    with pytest.raises(ForbiddenError):
        where(SecretKeySelector(name="a"), "", "")


def test_value_is_the_one_under_the_key():
    data = SecretData({"a": "1", "b": canary("meant")})

    assert SecretBytes(canary("meant")) == value_of(data, SecretKeySelector(name="s", key="b"), "team-a")


@pytest.mark.parametrize("data", [{}, {"b": ""}, {"c": "x"}], ids=["nothing", "empty", "another"])
def test_missing_value_is_told_with_its_place(data):
    others = {"other": canary("other")}

    with pytest.raises(AuthFailed) as failure:
        value_of(SecretData(data | others), SecretKeySelector(name="s", key="b"), "team-a")

    assert 'Secret "team-a/s" has no value under the key "b"' == failure.value.message
    assert [] == LeakDetector().look_at_error("error", failure.value)
