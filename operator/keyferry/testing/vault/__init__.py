"""A real Vault for tests, built on this machine like the control plane; never shipped (its licence is BUSL).

    with VaultServer() as vault:                          ready in about two seconds, TLS, storage in memory
        vault.url, vault.ca_pem                           where, and whom to trust
        vault.administrator                               may do everything: see `Administrator`
        vault.audit.reset(); vault.audit.logins()         what was asked, by Vault's own audit log: `AuditLog`
        with vault.proxy() as proxy: proxy.url            the same Vault by another address, that can fail: `Front`

    administrator.mount_kv("team", 2); administrator.put("team", "app/db", {"password": ...})
    administrator.policy("app", {"team/data/app/*": ["read"]}); administrator.token("app", ttl="10m")
    administrator.trust_cluster(cluster); administrator.kubernetes_role("app", NAMESPACE, "app", ["app"])
    administrator.app_role(...); .user(...); .certificate_role(...); .trust_issuer(...); .jwt_role(...)
    administrator.database("db", postgres); .database_role("db", "app", ttl="1m"); .leases("db/creds/app")
    administrator.pki("pki"); .pki_role("pki", "web"); .seal(); .unseal(); .look_up(accessor); .revoke(accessor)

    proxy.throttle("2"); proxy.sealed(); proxy.fail("cut-body", "team/data/*"); proxy.refuse(); proxy.clear()
    proxy.asked("team/data/*", "GET")                     calls, with header names and no values

Built in: kv, database, pki, ssh, transit, token, approle, userpass, cert, jwt; kubernetes and PostgreSQL as
plugins. Not built in: ldap, aws, gcp, and what is Enterprise (`keyferry.testing.vaultdouble` has them). Tests
share a Vault: give mounts, roles and policies names of your own, such as the namespace's.
"""

from keyferry.testing.vault.administrator import Administrator, Token, policy_text
from keyferry.testing.vault.api import Api, VaultRefused
from keyferry.testing.vault.audit import AuditLog
from keyferry.testing.vault.logins import AppRole
from keyferry.testing.vault.proxy import VaultProxy
from keyferry.testing.vault.server import VaultServer

__all__ = [
    "Administrator",
    "Api",
    "AppRole",
    "AuditLog",
    "Token",
    "VaultProxy",
    "VaultRefused",
    "VaultServer",
    "policy_text",
]
