"""HashiCorp Vault and OpenBao as stores: their KV engine, and every way to log in.

`provider` is the face to the planner, `kv` and `find` read and search, `connection` keeps one login for all that
ask as the same identity, `identity` and `login` prove who asks, `transport` is the only way to the server.
"""

from keyferry.providers.vault.provider import OpenBaoProvider, VaultProvider

__all__ = ["OpenBaoProvider", "VaultProvider"]
