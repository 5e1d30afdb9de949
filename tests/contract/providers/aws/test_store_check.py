"""What is refused of an aws store before anybody is asked; each message names the field."""

from __future__ import annotations

import pytest

from keyferry.errors import ForbiddenError, NotAvailableError, SpecError
from keyferry.ports import AmbientIdentity
from keyferry.providers.aws import AWSProvider

ROLE = "arn:aws:iam::123456789012:role/reader"
SELECTOR = {"name": "keys", "key": "k"}


def keys(**changes):
    refs = {"accessKeyIDSecretRef": SELECTOR, "secretAccessKeySecretRef": SELECTOR}
    return {"auth": {"secretRef": refs | changes}}


def account(**changes):
    return {"auth": {"jwt": {"serviceAccountRef": {"name": "app"} | changes}}}


def check(toolbox, *, ambient=AmbientIdentity.ALL, namespace="team-a", **changes):
    view = toolbox.view("aws", toolbox.aws_block(**changes), namespace=namespace)
    AWSProvider(ambient).check(view)


GOOD = [
    pytest.param({}, id="ambient"),
    pytest.param(keys(), id="keys"),
    pytest.param(keys(sessionTokenSecretRef=SELECTOR), id="temporary-keys"),
    pytest.param(account(), id="service-account"),
    pytest.param(account(namespace="team-a"), id="service-account-in-its-own-namespace-by-name"),
    pytest.param({"role": ROLE}, id="role"),
    pytest.param({"role": "arn:aws-cn:iam::123456789012:role/path/to/reader"}, id="role-in-china"),
    pytest.param({"role": "arn:aws-us-gov:iam::123456789012:role/r"}, id="role-in-govcloud"),
    pytest.param({"region": "cn-north-1"}, id="region-in-china"),
    pytest.param({"region": "us-gov-west-1"}, id="region-in-govcloud"),
    pytest.param({"region": "eusc-de-east-1"}, id="region-in-the-european-sovereign-cloud"),
    pytest.param({"role": ROLE, "sessionTags": [{"key": "team", "value": "a"}]}, id="tags"),
    pytest.param({"sessionTagsPolicy": "Custom", "customSessionTags": {"team": "a"}}, id="custom-tags"),
    pytest.param({"externalID": "x", "additionalRoles": [ROLE]}, id="external-id-for-no-role"),
]


@pytest.mark.parametrize("changes", GOOD)
def test_good_store_is_accepted(toolbox, changes):
    assert check(toolbox, **changes) is None


BAD = [
    pytest.param({"region": ""}, "region", id="no-region"),
    pytest.param({"region": "eu-central-1.evil.example"}, "region", id="region-that-is-a-host"),
    pytest.param({"region": "eu-central-1/x"}, "region", id="region-with-a-path"),
    pytest.param({"region": "EU-CENTRAL-1"}, "region", id="region-in-capitals"),
    pytest.param({"region": "a@b"}, "region", id="region-with-a-login"),
    pytest.param({"auth": keys()["auth"] | account()["auth"]}, "secretRef and jwt", id="two-logins"),
    pytest.param(keys(accessKeyIDSecretRef=None), "accessKeyIDSecretRef", id="no-access-key"),
    pytest.param(keys(secretAccessKeySecretRef={"name": "x"}), "secretAccessKeySecretRef", id="no-key-name"),
    pytest.param({"auth": {"jwt": {}}}, "serviceAccountRef", id="no-service-account"),
    pytest.param({"role": "reader"}, "reader", id="role-by-name"),
    pytest.param({"role": "arn:aws:iam::123:role/x"}, "arn:aws:iam::123:role/x", id="role-of-no-account"),
    pytest.param({"additionalRoles": ["x"], "role": ROLE}, '"x"', id="additional-role-by-name"),
]


@pytest.mark.parametrize(("changes", "named"), BAD)
def test_wrong_field_is_named(toolbox, changes, named):
    with pytest.raises(SpecError) as failure:
        check(toolbox, **changes)

    assert named in str(failure.value)
    assert "spec.provider.aws" in failure.value.message


def test_service_that_is_not_there_yet_is_named(toolbox):
    with pytest.raises(NotAvailableError, match="CertificateManager"):
        check(toolbox, service="CertificateManager")


FOREIGN = [
    pytest.param(keys(accessKeyIDSecretRef=SELECTOR | {"namespace": "team-b"}), id="accessKeyIDSecretRef"),
    pytest.param(
        keys(secretAccessKeySecretRef=SELECTOR | {"namespace": "team-b"}), id="secretAccessKeySecretRef"
    ),
    pytest.param(keys(sessionTokenSecretRef=SELECTOR | {"namespace": "team-b"}), id="sessionTokenSecretRef"),
    pytest.param(account(namespace="team-b"), id="serviceAccountRef"),
]


@pytest.mark.parametrize("changes", FOREIGN)
def test_reference_to_another_namespace_is_refused_in_a_namespaced_store(toolbox, request, changes):
    with pytest.raises(ForbiddenError) as failure:
        check(toolbox, **changes)

    assert f'{request.node.callspec.id}.namespace is "team-b"' in failure.value.message


@pytest.mark.parametrize("changes", FOREIGN)
def test_reference_to_another_namespace_is_accepted_in_a_cluster_store(toolbox, changes):
    assert check(toolbox, namespace="", **changes) is None


@pytest.mark.parametrize(
    ("ambient", "namespace", "allowed"),
    [
        (AmbientIdentity.ALL, "team-a", True),
        (AmbientIdentity.ALL, "", True),
        (AmbientIdentity.CLUSTER, "team-a", False),
        (AmbientIdentity.CLUSTER, "", True),
        (AmbientIdentity.NONE, "team-a", False),
        (AmbientIdentity.NONE, "", False),
    ],
)
def test_ambient_identity_is_for_those_whom_the_flag_allows(toolbox, ambient, namespace, allowed):
    if allowed:
        assert check(toolbox, ambient=ambient, namespace=namespace, role=ROLE) is None
        return
    with pytest.raises(ForbiddenError, match=f"--ambient-identity={ambient.value}"):
        check(toolbox, ambient=ambient, namespace=namespace, role=ROLE)


@pytest.mark.parametrize("auth", [keys(), account()], ids=["keys", "service-account"])
def test_own_login_needs_no_ambient_identity(toolbox, auth):
    assert check(toolbox, ambient=AmbientIdentity.NONE, **auth) is None


POSING = [
    pytest.param({"sessionTags": [{"key": "esoNamespace", "value": "team-b"}]}, id="esoNamespace"),
    pytest.param({"sessionTags": [{"key": "ESONAMESPACE", "value": "team-b"}]}, id="in-capitals"),
    pytest.param({"sessionTags": [{"key": "e\u017foNamespace", "value": "team-b"}]}, id="long-s"),
    pytest.param(
        {"sessionTags": [{"key": "\uff45\uff53\uff4fNamespace", "value": "team-b"}]}, id="full-width"
    ),
    pytest.param({"sessionTags": [{"key": "esoStoreK\u0131nd", "value": "x"}]}, id="dotless-i"),
    pytest.param({"sessionTags": [{"key": "esoStoreK\u0130nd", "value": "x"}]}, id="dotted-i"),
    pytest.param({"sessionTags": [{"key": "esoStore\u212aind", "value": "x"}]}, id="kelvin-sign"),
    pytest.param({"sessionTags": [{"key": "esoStoreName", "value": "x"}]}, id="esoStoreName"),
    pytest.param(
        {"customSessionTags": {"esostorekind": "x"}, "sessionTagsPolicy": "Custom"}, id="esoStoreKind"
    ),
]


@pytest.mark.parametrize("tags", POSING)
@pytest.mark.parametrize("policy", ["None", "Simple", "Custom"])
def test_nobodys_session_tags_pose_as_another_namespaces(toolbox, tags, policy):
    with pytest.raises(ForbiddenError, match="set by Keyferry alone"):
        check(toolbox, role=ROLE, **({"sessionTagsPolicy": policy} | tags | {"sessionTagsPolicy": policy}))


@pytest.mark.parametrize("tags", POSING)
def test_cluster_store_may_name_a_namespace_itself_unless_keyferry_does(toolbox, tags):
    assert check(toolbox, namespace="", role=ROLE, **(tags | {"sessionTagsPolicy": "None"})) is None
    with pytest.raises(ForbiddenError):
        check(toolbox, namespace="", role=ROLE, **(tags | {"sessionTagsPolicy": "Simple"}))


@pytest.mark.parametrize(
    ("changes", "namespace", "expected"),
    [
        pytest.param({}, "", False, id="ambient"),
        pytest.param(account(), "", True, id="service-account-of-each-namespace"),
        pytest.param(account(namespace="platform"), "", False, id="one-service-account"),
        pytest.param(keys(), "", True, id="keys-of-each-namespace"),
        pytest.param({"role": ROLE, "sessionTagsPolicy": "Simple"}, "", True, id="session-tags"),
        pytest.param({"sessionTagsPolicy": "Simple"}, "", False, id="session-tags-of-no-session"),
        pytest.param(
            {"additionalRoles": [ROLE], "sessionTagsPolicy": "Simple"}, "", False, id="only-additional-roles"
        ),
    ],
)
def test_store_whose_identity_depends_on_the_namespace_is_known(toolbox, changes, namespace, expected):
    view = toolbox.view("aws", toolbox.aws_block(**changes), namespace=namespace)

    assert AWSProvider().referent(view) is expected


IDLE = [
    pytest.param({"externalID": "x"}, "externalID", id="externalID"),
    pytest.param({"sessionTags": [{"key": "a", "value": "b"}]}, "sessionTags", id="sessionTags"),
    pytest.param({"transitiveTagKeys": ["a"]}, "transitiveTagKeys", id="transitiveTagKeys"),
    pytest.param({"sessionTagsPolicy": "Simple"}, "sessionTagsPolicy", id="sessionTagsPolicy"),
    pytest.param(
        {"sessionTagsPolicy": "Custom", "customSessionTags": {"a": "b"}},
        "sessionTagsPolicy and customSessionTags",
        id="customSessionTags",
    ),
]


@pytest.mark.parametrize(("changes", "named"), IDLE)
async def test_field_without_effect_is_said_in_the_log(toolbox, cluster, caplog, changes, named):
    """The established operator takes such stores, so they are used; nobody should believe in the tags."""
    view = toolbox.view("aws", toolbox.aws_block(additionalRoles=[ROLE], **changes))
    provider = AWSProvider()
    provider.check(view)

    await provider.identify(view, "team-a", cluster)

    (record,) = caplog.records
    assert f"spec.provider.aws.{named} has an effect only with role" in record.message
    assert str(view.key) in record.message


@pytest.mark.parametrize("changes", [{}, *({"role": ROLE} | param.values[0] for param in IDLE)])
async def test_fields_that_have_an_effect_are_not_complained_about(toolbox, cluster, caplog, changes):
    await AWSProvider().identify(toolbox.view("aws", toolbox.aws_block(**changes)), "team-a", cluster)

    assert [] == caplog.records
