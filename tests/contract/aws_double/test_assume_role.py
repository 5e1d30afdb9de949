"""AssumeRole gives a role to those whom its trust policy means, with the tags that it may carry."""

import json

import pytest
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


@pytest.fixture
def user(admin, unique):
    """A user without any permission."""
    return admin.create_user(unique)


@pytest.fixture
def user_arn(user, unique):
    return f"arn:aws:iam::{ACCOUNT}:user/{unique}"


@pytest.fixture
def make_role(admin, user_arn, unique):
    """Make a role that names the user."""

    def make(**options):
        return admin.role_for_principals(f"{unique}-role", [user_arn], **options)

    return make


@pytest.fixture
def assume(client_for):
    """Assume a role; the answer, or the error's code and message."""

    def assume(who, role, **options):
        options = {"RoleSessionName": "keyferry", **options}
        try:
            return client_for("sts", who).assume_role(RoleArn=role, **options)
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["Error"]["Message"]

    return assume


def tags(**values):
    return [{"Key": key, "Value": value} for key, value in values.items()]


def denied(arn, action, role):
    return "AccessDenied", f"User: {arn} is not authorized to perform: {action} on resource: {role}"


def test_a_user_whom_the_role_names_needs_no_permission_of_its_own(make_role, user, assume, unique):
    role = make_role()

    answer = assume(user, role)

    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{unique}-role/keyferry"


def test_a_user_whom_the_role_does_not_name_is_refused(admin, user, user_arn, assume, unique):
    role = admin.role_for_principals(f"{unique}-role", [f"arn:aws:iam::{ACCOUNT}:user/somebody"])

    assert assume(user, role) == denied(user_arn, "sts:AssumeRole", role)


def test_permission_without_trust_is_refused(admin, assume, unique):
    role = admin.role_for_principals(f"{unique}-role", [f"arn:aws:iam::{ACCOUNT}:user/somebody"])
    user = admin.create_user(unique, policy=admin.assume_policy([role]))

    assert assume(user, role)[0] == "AccessDenied"


def test_a_role_that_trusts_the_account_wants_a_permission_of_the_user(admin, user, assume, unique):
    role = admin.role_for_principals(f"{unique}-role", [ROOT])
    permitted = admin.create_user(f"{unique}-permitted", policy=admin.assume_policy([role]))

    assert assume(user, role)[0] == "AccessDenied"
    assert "Credentials" in assume(permitted, role)


def test_a_role_that_does_not_exist_is_refused(user, user_arn, assume):
    role = f"arn:aws:iam::{ACCOUNT}:role/none"

    assert assume(user, role) == denied(user_arn, "sts:AssumeRole", role)


@pytest.mark.parametrize("presented", [{}, {"ExternalId": "wrong"}], ids=["none", "a wrong one"])
def test_a_role_with_an_external_id_refuses_another(make_role, user, user_arn, assume, presented):
    role = make_role(external_id="expected")

    assert assume(user, role, **presented) == denied(user_arn, "sts:AssumeRole", role)


def test_a_role_with_an_external_id_accepts_it(make_role, user, assume):
    role = make_role(external_id="expected")

    assert "Credentials" in assume(user, role, ExternalId="expected")


def test_session_tags_want_the_permission_to_tag(make_role, user, user_arn, assume):
    role = make_role()

    assert assume(user, role, Tags=tags(team="a")) == denied(user_arn, "sts:TagSession", role)


def test_session_tags_are_recorded(make_role, aws, user, assume, client_for):
    role = make_role(may_tag=True)

    answer = assume(user, role, Tags=tags(team="a", app="b"), TransitiveTagKeys=["team"])
    client_for("sts", answer).get_caller_identity()

    granted, used = aws.control.calls(service="sts")
    assert granted.session_tags == used.session_tags == {"team": "a", "app": "b"}
    assert granted.transitive_tag_keys == used.transitive_tag_keys == ["team"]
    assert granted.granted_access_key_id == used.access_key_id


@pytest.mark.parametrize("given", [{}, {"team": "b"}, {"other": "a"}])
def test_a_role_that_demands_a_request_tag_refuses_others(make_role, user, assume, given):
    role = make_role(tags={"team": "a"})

    assert assume(user, role, Tags=tags(**given))[0] == "AccessDenied"


def test_a_role_that_demands_a_request_tag_accepts_it(make_role, user, assume):
    role = make_role(tags={"team": "a"})

    assert "Credentials" in assume(user, role, Tags=tags(team="a"))


# Role chains


@pytest.fixture
def chain(admin, user_arn, unique):
    """A first role that the user may take, and what is needed to make a second that trusts the first."""
    first = admin.role_for_principals(f"{unique}-first", [user_arn], may_tag=True)

    def second(**options):
        return admin.role_for_principals(f"{unique}-second", [first], **options)

    return first, second


def test_a_role_is_assumed_from_a_role_that_it_names(user, assume, chain, unique):
    first, second = chain

    answer = assume(assume(user, first), second())

    assert answer["AssumedRoleUser"]["Arn"].endswith(f"assumed-role/{unique}-second/keyferry")


def test_a_role_in_a_chain_is_refused_to_the_user_itself(user, assume, chain):
    _, second = chain

    assert assume(user, second())[0] == "AccessDenied"


def test_transitive_tags_travel_along_the_chain_and_others_stay(aws, user, assume, chain):
    first, second = chain
    session = assume(user, first, Tags=tags(team="a", app="b"), TransitiveTagKeys=["team"])

    assume(session, second(may_tag=True))

    *_, call = aws.control.calls(action="AssumeRole")
    assert (call.session_tags, call.transitive_tag_keys) == ({"team": "a"}, ["team"])


def test_travelling_tags_want_the_permission_to_tag_too(user, assume, chain):
    first, second = chain
    session = assume(user, first, Tags=tags(team="a"), TransitiveTagKeys=["team"])

    code, message = assume(session, second())

    assert code == "AccessDenied"
    assert "sts:TagSession" in message


def test_a_travelling_tag_cannot_be_overridden(user, assume, chain):
    first, second = chain
    session = assume(user, first, Tags=tags(team="a"), TransitiveTagKeys=["team"])

    code, message = assume(session, second(may_tag=True), Tags=tags(Team="b"))

    assert code == "InvalidParameterValue"
    assert "conflicts with a transitive tag key" in message


def test_a_transitive_key_without_its_tag_is_refused(make_role, user, assume):
    role = make_role(may_tag=True)

    assert assume(user, role, Tags=tags(a="1"), TransitiveTagKeys=["b"])[0] == "InvalidParameterValue"


def test_a_chained_session_is_limited_to_an_hour(admin, user, assume, chain, unique):
    first, _ = chain
    trust = {"Effect": "Allow", "Principal": {"AWS": first}, "Action": "sts:AssumeRole"}
    long = admin.create_role(f"{unique}-long", trust=trust, max_session_s=43200)

    code, message = assume(assume(user, first), long, DurationSeconds=3601)

    assert code == "ValidationError"
    assert "role chaining" in message


def test_a_role_of_another_account_is_assumed_with_trust_and_permission(aws, admin, assume, unique):
    other = aws.administrator(account="210987654321")
    role = other.role_for_principals(f"{unique}-role", [ROOT], allow=[f"{unique}/*"])
    permitted = admin.create_user(unique, policy=admin.assume_policy([role]))
    unpermitted = admin.create_user(f"{unique}-without")

    answer = assume(permitted, role)

    assert answer["AssumedRoleUser"]["Arn"].startswith("arn:aws:sts::210987654321:assumed-role/")
    assert assume(unpermitted, role)[0] == "AccessDenied"


def test_a_role_of_another_account_that_names_the_user_still_wants_a_permission(
    aws, user, user_arn, assume, unique
):
    """Only within one account does a name in the trust policy make a permission needless."""
    other = aws.administrator(account="210987654321")
    role = other.role_for_principals(f"{unique}-role", [user_arn])

    assert assume(user, role) == denied(user_arn, "sts:AssumeRole", role)


def test_a_session_of_another_account_reads_that_accounts_secrets(aws, admin, assume, client_for, unique):
    other = aws.administrator(account="210987654321")
    admin.put_secret(f"{unique}/db", "ours")
    other.put_secret(f"{unique}/db", "theirs")
    role = other.role_for_principals(f"{unique}-role", [ROOT], allow=[f"{unique}/*"])
    session = assume(admin.create_user(unique, policy=admin.assume_policy([role])), role)

    got = client_for("secretsmanager", session).get_secret_value(SecretId=f"{unique}/db")

    assert got["SecretString"] == "theirs"


def test_a_condition_that_the_double_does_not_know_is_an_error_and_no_permission(
    admin, user, user_arn, assume, unique
):
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": user_arn},
        "Action": "sts:AssumeRole",
        "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.1"}},
    }
    role = admin.create_role(f"{unique}-role", trust=trust)

    assert assume(user, role)[0] == "NotImplementedByDouble"


def test_session_tags_keep_tenants_apart_by_one_policy_for_all(admin, client_for, assume, unique):
    """What session tags are for: the policy names the caller's tag instead of each tenant."""
    admin.put_secret(f"{unique}/team-a/db", "A")
    admin.put_secret(f"{unique}/team-b/db", "B")
    arn = f"arn:aws:secretsmanager:*:{ACCOUNT}:secret:{unique}/${{aws:PrincipalTag/team}}/*"
    own = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn}
    user = admin.create_user(unique)
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{unique}"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    role = admin.create_role(
        f"{unique}-role", trust=trust, policy=json.dumps({"Version": "2012-10-17", "Statement": [own]})
    )

    def value(team, secret):
        sm = client_for("secretsmanager", assume(user, role, Tags=tags(team=team)))
        try:
            return sm.get_secret_value(SecretId=f"{unique}/{secret}")["SecretString"]
        except ClientError as error:
            return error.response["Error"]["Code"]

    assert value("team-a", "team-a/db") == "A"
    assert value("team-a", "team-b/db") == "AccessDeniedException"
    assert value("team-b", "team-b/db") == "B"
    assert value("*", "team-b/db") == "AccessDeniedException"
