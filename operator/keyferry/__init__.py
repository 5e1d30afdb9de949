"""Keyferry: brings secrets from the stores where they live into Kubernetes Secrets, and keeps them right."""

__version__ = "0.1.0.dev0"
