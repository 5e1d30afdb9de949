"""A strict double of Vault over TLS, for what the real server of the tests lacks; `keyferry.testing.vault` is that.

    with VaultDouble() as double:                          Enterprise, an active node
        team = double.namespace("org/team")                data, logins and policies of its own
        team.mount_kv("kv", 2); team.put("kv", "db", {"password": ...}); team.policy("app", {"kv/data/*": ["read"]})
        team.ldap_user("ada", "…", ["app"]); team.app_role("app", ["app"]); double.token("app", namespace="org/team")
        team.aws(strict_aws.endpoint, server_id="vault.example.com"); team.aws_role("app", [arn], ["app"])
        team.gcp({(email, key_id): public_key}); team.gcp_role("app", [email], ["app"])
        double.lag(); …; double.catch_up()                 a performance standby that is behind: 412, stale reads
        double.node = "standby"; double.active_url = …     health 429/472/473/501/503, 307 to the active node
        double.advance(3600)                               tokens expire
        double.throttle("2"); double.fail("hold", …); double.asked("kv/*")     faults and calls: see `Front`
    VaultDouble(product="openbao"), VaultDouble(product="vault")               the others, where they differ

Where both can be asked, tests/contract/vault_double asks the real server the same. Not known here: other engines,
leases, batch and wrapped tokens, entities, sentinel, and the administration over HTTP (tests use these methods).
Index headers are told after writes and logins, as Enterprise does; a request with one is judged by it.
"""

from keyferry.testing.vaultdouble.double import Node, Product, VaultDouble
from keyferry.testing.vaultdouble.space import Space
from keyferry.testing.vaultdouble.tokens import Token

__all__ = ["Node", "Product", "Space", "Token", "VaultDouble"]
