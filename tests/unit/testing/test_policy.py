"""IAM policies decide as AWS documents it, and what is unknown is an error and no permission."""

import json

import pytest

from keyferry.testing.aws.policy import (
    Grant,
    UnknownPolicyElement,
    Verdict,
    context_of,
    evaluate,
    evaluate_resource_policy,
)

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:team-a/db-AbCdEf"
READ = "secretsmanager:GetSecretValue"


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(**changes):
    return {"Effect": "Allow", "Action": READ, "Resource": "*", **changes}


def deny(**changes):
    return {**allow(**changes), "Effect": "Deny"}


def verdict(*statements, action=READ, resource=ARN, **context):
    return evaluate([policy(*statements)], action, resource, context_of(**context))


def test_nothing_is_allowed_without_a_policy():
    assert evaluate([], READ, ARN, {}) is Verdict.SILENT


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (READ, Verdict.ALLOWED),
        ("secretsmanager:Get*", Verdict.ALLOWED),
        ("SecretsManager:getsecretvalue", Verdict.ALLOWED),
        ("*", Verdict.ALLOWED),
        (["kms:Decrypt", READ], Verdict.ALLOWED),
        ("secretsmanager:GetSecretValu?", Verdict.ALLOWED),
        ("secretsmanager:Get", Verdict.SILENT),
        ("secretsmanager:GetSecretValues", Verdict.SILENT),
        ("kms:*", Verdict.SILENT),
    ],
)
def test_an_action_is_matched_by_pattern_whatever_its_case(pattern, expected):
    assert verdict(allow(Action=pattern)) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (ARN, Verdict.ALLOWED),
        ("arn:aws:secretsmanager:*:123456789012:secret:team-a/*", Verdict.ALLOWED),
        ("arn:aws:secretsmanager:*:*:secret:team-a/db-??????", Verdict.ALLOWED),
        ("arn:aws:secretsmanager:*:*:secret:team-a/db-?????", Verdict.SILENT),
        ("arn:aws:secretsmanager:*:*:secret:team-b/*", Verdict.SILENT),
        ("arn:aws:secretsmanager:*:*:secret:TEAM-A/*", Verdict.SILENT),
        ("arn:aws:secretsmanager:*:*:secret:team.a/*", Verdict.SILENT),
        (["arn:aws:s3:::x", ARN], Verdict.ALLOWED),
    ],
)
def test_a_resource_is_matched_by_pattern_and_by_case(pattern, expected):
    assert verdict(allow(Resource=pattern)) is expected


def test_a_pattern_for_a_name_with_its_suffix_does_not_match_the_name_alone():
    """How AWS hides from who may read one secret whether it exists."""
    pattern = "arn:aws:secretsmanager:*:*:secret:team-a/db-??????"

    assert verdict(allow(Resource=pattern), resource=ARN.removesuffix("-AbCdEf")) is Verdict.SILENT


@pytest.mark.parametrize("order", [1, -1])
def test_a_deny_wins_wherever_it_stands(order):
    assert verdict(*[allow(), deny()][::order]) is Verdict.DENIED


def test_a_deny_that_does_not_apply_denies_nothing():
    assert verdict(allow(), deny(Resource="arn:aws:secretsmanager:*:*:secret:team-b/*")) is Verdict.ALLOWED


def test_not_action_and_not_resource_cover_all_else():
    others = {"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::*"}

    assert verdict(others) is Verdict.ALLOWED
    assert verdict(others, action="iam:CreateUser") is Verdict.SILENT
    assert verdict(others, resource="arn:aws:s3:::bucket") is Verdict.SILENT


def test_a_single_statement_need_not_be_a_list():
    assert evaluate([json.dumps({"Statement": allow()})], READ, ARN, {}) is Verdict.ALLOWED


CONDITIONS = [
    ("StringEquals", "a", ["a"], True),
    ("StringEquals", ["a", "b"], ["b"], True),
    ("StringEquals", "a", ["A"], False),
    ("StringEquals", "a*", ["ab"], False),
    ("StringEquals", "a", [], False),
    ("StringEqualsIfExists", "a", [], True),
    ("StringEqualsIfExists", "a", ["b"], False),
    ("StringNotEquals", "a", ["b"], True),
    ("StringNotEquals", "a", ["a"], False),
    ("StringNotEquals", "a", [], True),
    ("StringNotEquals", ["a", "b"], ["b"], False),
    ("StringEqualsIgnoreCase", "a", ["A"], True),
    ("StringNotEqualsIgnoreCase", "a", ["A"], False),
    ("StringLike", "team-*", ["team-a"], True),
    ("StringLike", "team-?", ["team-ab"], False),
    ("StringNotLike", "team-*", ["team-a"], False),
    ("ArnLike", "arn:aws:iam::*:role/x", ["arn:aws:iam::1:role/x"], True),
    ("ArnEquals", "arn:aws:iam::*:role/x", ["arn:aws:iam::1:role/y"], False),
    ("ArnNotLike", "arn:aws:iam::*:role/x", ["arn:aws:iam::1:role/y"], True),
    ("Bool", "false", ["false"], True),
    ("Bool", False, ["false"], True),
    ("Bool", "true", ["false"], False),
    ("Null", "true", [], True),
    ("Null", "true", ["a"], False),
    ("Null", "false", ["a"], True),
    ("ForAllValues:StringEquals", ["a", "b"], ["a"], True),
    ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
    ("ForAllValues:StringEquals", ["a"], [], True),
    ("ForAnyValue:StringEquals", ["a", "b"], ["c", "a"], True),
    ("ForAnyValue:StringEquals", ["a"], ["c"], False),
    ("ForAnyValue:StringEquals", ["a"], [], False),
    ("ForAnyValue:StringLike", ["a*"], ["ab", "c"], True),
]


@pytest.mark.parametrize(("operator", "expected", "actual", "holds"), CONDITIONS)
def test_a_condition_holds_as_documented(operator, expected, actual, holds):
    statement = allow(Condition={operator: {"Some:Key": expected}})

    assert verdict(statement, **{"some:key": actual}) is (Verdict.ALLOWED if holds else Verdict.SILENT)


def test_all_conditions_must_hold():
    statement = allow(Condition={"StringEquals": {"a:x": "1", "a:y": "2"}, "StringLike": {"a:z": "*"}})

    assert verdict(statement, **{"a:x": "1", "a:y": "2", "a:z": "3"}) is Verdict.ALLOWED
    assert verdict(statement, **{"a:x": "1", "a:y": "0", "a:z": "3"}) is Verdict.SILENT
    assert verdict(statement, **{"a:x": "1", "a:y": "2"}) is Verdict.SILENT


def test_a_variable_is_filled_in_literally():
    own = allow(Resource="arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*")

    assert verdict(own, **{"aws:PrincipalTag/team": "team-a"}) is Verdict.ALLOWED
    assert verdict(own, **{"aws:PrincipalTag/team": "team-b"}) is Verdict.SILENT
    assert verdict(own, **{"aws:PrincipalTag/team": "*"}) is Verdict.SILENT
    assert verdict(own) is Verdict.SILENT


def test_a_variable_in_a_condition_compares_two_tags():
    same = allow(Condition={"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}})

    assert verdict(same, **{"aws:ResourceTag/team": "a", "aws:PrincipalTag/Team": "a"}) is Verdict.ALLOWED
    assert verdict(same, **{"aws:ResourceTag/team": "a", "aws:PrincipalTag/Team": "b"}) is Verdict.SILENT
    assert verdict(same, **{"aws:ResourceTag/team": "a"}) is Verdict.SILENT


def test_a_variable_may_have_a_default_and_stand_for_a_wildcard_itself():
    assert verdict(allow(Resource="*:${aws:PrincipalTag/team, 'team-a'}/*")) is Verdict.ALLOWED
    assert verdict(allow(Resource="${*}")) is Verdict.SILENT
    assert verdict(allow(Resource="${*}"), resource="*") is Verdict.ALLOWED


def test_an_unknown_operator_is_an_error_and_no_permission():
    with pytest.raises(UnknownPolicyElement, match="IpAddress"):
        verdict(
            allow(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), **{"aws:SourceIp": "10.0.0.1"}
        )


# Policies on resources

USER = "arn:aws:iam::123456789012:user/u"
FORMS = {f"AWS:{USER}": True, "AWS:arn:aws:iam::123456789012:root": False, "AWS:123456789012": False}


def trust(**changes):
    return {"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "sts:AssumeRole", **changes}


def grant(*statements, action="sts:AssumeRole", **context):
    return evaluate_resource_policy(policy(*statements), action, FORMS, context_of(**context))


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ({"AWS": USER}, Grant(Verdict.ALLOWED, named=True)),
        ({"AWS": ["arn:aws:iam::1:user/x", USER]}, Grant(Verdict.ALLOWED, named=True)),
        ({"AWS": "arn:aws:iam::123456789012:root"}, Grant(Verdict.ALLOWED, named=False)),
        ({"AWS": "123456789012"}, Grant(Verdict.ALLOWED, named=False)),
        ({"AWS": "*"}, Grant(Verdict.ALLOWED, named=True)),
        ("*", Grant(Verdict.ALLOWED, named=True)),
        ({"AWS": "arn:aws:iam::123456789012:user/*"}, Grant(Verdict.SILENT)),
        ({"Federated": USER}, Grant(Verdict.SILENT)),
        ({"Service": "ec2.amazonaws.com"}, Grant(Verdict.SILENT)),
    ],
)
def test_a_principal_is_matched_as_it_stands(principal, expected):
    assert grant(trust(Principal=principal)) == expected


def test_one_of_several_trusting_statements_is_enough():
    other = trust(Condition={"StringEquals": {"sts:ExternalId": "other"}})

    assert grant(other, trust()) == Grant(Verdict.ALLOWED, named=True)


def test_trust_in_one_action_is_none_in_another():
    assert grant(trust(), action="sts:TagSession") == Grant(Verdict.SILENT)


def test_a_deny_on_a_resource_wins():
    assert grant(trust(), trust(Effect="Deny")) == Grant(Verdict.DENIED)


def test_an_unknown_principal_element_is_an_error():
    with pytest.raises(UnknownPolicyElement, match="NotPrincipal"):
        grant({"Effect": "Deny", "NotPrincipal": {"AWS": USER}, "Action": "sts:AssumeRole"})
