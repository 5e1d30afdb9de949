"""GitLab: deploy tokens of projects and groups."""

from keyferry.providers.gitlab.generators import GitlabDeployTokenGenerator

__all__ = ["GitlabDeployTokenGenerator"]
