"""Quay: logins of robot accounts that trust a ServiceAccount."""

from keyferry.providers.quay.generators import QuayAccessTokenGenerator

__all__ = ["QuayAccessTokenGenerator"]
