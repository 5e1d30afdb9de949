"""GitHub: tokens of a GitHub App's installation."""

from keyferry.providers.github.generators import GithubAccessTokenGenerator

__all__ = ["GithubAccessTokenGenerator"]
