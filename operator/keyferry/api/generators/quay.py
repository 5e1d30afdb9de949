"""QuayAccessToken: a login of a Quay robot account."""

from __future__ import annotations

from keyferry.api.meta import ServiceAccountSelector
from keyferry.api.model import Model


class QuayAccessTokenSpec(Model, frozen=True, kw_only=True):
    """A login of a robot account that trusts a ServiceAccount, under the keys registry, auth and expiry."""

    url: str = ""
    """Host of Quay; quay.io if unset."""
    robot_account: str
    """Name of the robot account, such as organization+robot."""
    service_account_ref: ServiceAccountSelector
    """The ServiceAccount that the robot account trusts."""
