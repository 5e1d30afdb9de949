"""Secrets of this or another Kubernetes cluster as remote secrets: a key is a Secret's name, a property one of its keys.

`identity` gathers who asks where, `client` asks, `reading` takes what is wanted out of a Secret, `errors` says
what went wrong. The way to API servers is a port (`keyferry.clusters`).
"""

from keyferry.providers.kubernetes.provider import KubernetesProvider

__all__ = ["KubernetesProvider"]
