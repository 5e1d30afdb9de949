"""A request to the API server is read as RBAC would read it."""

import pytest

from keyferry.testing.kuberequest import RequestMatch, read_kube_request

ES = "/apis/external-secrets.io/v1"
CASES = [
    ("GET", "/api/v1/namespaces/team-a/secrets", "", ("list", "secrets", "team-a", "")),
    ("GET", "/api/v1/namespaces/team-a/secrets/db", "", ("get", "secrets", "team-a", "db")),
    ("GET", "/api/v1/secrets", "watch=true&limit=5", ("watch", "secrets", "", "")),
    ("GET", "/api/v1/secrets", "watch=1", ("watch", "secrets", "", "")),
    ("GET", "/api/v1/secrets", "watch=false", ("list", "secrets", "", "")),
    ("POST", "/api/v1/namespaces/team-a/secrets", "", ("create", "secrets", "team-a", "")),
    ("PUT", "/api/v1/namespaces/team-a/secrets/db", "", ("update", "secrets", "team-a", "db")),
    ("PATCH", f"{ES}/namespaces/a/externalsecrets/x", "", ("patch", "externalsecrets", "a", "x")),
    (
        "PATCH",
        f"{ES}/namespaces/a/externalsecrets/x/status",
        "",
        ("patch", "externalsecrets/status", "a", "x"),
    ),
    ("DELETE", "/api/v1/namespaces/a/secrets/db", "", ("delete", "secrets", "a", "db")),
    ("DELETE", "/api/v1/namespaces/a/secrets", "", ("deletecollection", "secrets", "a", "")),
    ("GET", f"{ES}/clustersecretstores", "", ("list", "clustersecretstores", "", "")),
    (
        "POST",
        "/api/v1/namespaces/a/serviceaccounts/sa/token",
        "",
        ("create", "serviceaccounts/token", "a", "sa"),
    ),
    ("GET", "/api/v1/namespaces", "", ("list", "namespaces", "", "")),
    ("GET", "/api/v1/namespaces/a", "", ("get", "namespaces", "", "a")),
    ("PUT", "/api/v1/namespaces/a/finalize", "", ("update", "namespaces/finalize", "", "a")),
    ("GET", "/apis/coordination.k8s.io/v1/namespaces/a/leases/l", "", ("get", "leases", "a", "l")),
    ("GET", "/readyz", "", ("get", "", "", "")),
    ("GET", "/apis", "", ("get", "", "", "")),
    ("GET", "/openid/v1/jwks", "", ("get", "", "", "")),
]


@pytest.mark.parametrize(("method", "path", "query", "expected"), CASES)
def test_verb_resource_namespace_and_name(method, path, query, expected):
    request = read_kube_request(method, path, query)

    assert (request.verb, request.resource, request.namespace, request.name) == expected


def test_a_match_wants_all_its_fields():
    request = read_kube_request("PATCH", f"{ES}/namespaces/a/externalsecrets/x/status", "")

    assert RequestMatch().matches(request, "kopf")
    assert RequestMatch(resource="externalsecrets*", namespace="a", verb="patch").matches(request, "")
    assert RequestMatch(path="*/status", method="PATCH", user_agent="keyferry/*").matches(
        request, "keyferry/1"
    )
    assert not RequestMatch(resource="externalsecrets").matches(request, "")
    assert not RequestMatch(resource="externalsecrets*", namespace="b").matches(request, "")
    assert not RequestMatch(user_agent="kopf").matches(request, "keyferry/1")
