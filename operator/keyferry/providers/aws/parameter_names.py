"""How parameters are named: plain names, hierarchies, ARNs, and the version or label behind a colon.

Source of the rules: AWS Systems Manager API Reference, PutParameter (naming constraints) and GetParameter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from keyferry.errors import ProviderError

_ONE: Final = r"[A-Za-z0-9_.-]+"
_PLAIN: Final = re.compile(rf"{_ONE}|(?:/{_ONE})+")
_ARN: Final = re.compile(rf"arn:aws[a-z-]*:ssm:[a-z0-9-]+:(?:[0-9]{{12}})?:parameter(?:/{_ONE})+")
_SECRET: Final = re.compile(r"/aws/reference/secretsmanager/[A-Za-z0-9/_+=.@!-]+")
"""Parameter Store's own way to Secrets Manager."""
_SELECTOR: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_ARN_COLONS: Final = 5


@dataclass(frozen=True, slots=True)
class ParameterName:
    """A parameter, as it is asked for.

    Args:
        name: its name or ARN.
        selector: a version's number or label; empty for the latest.
    """

    name: str
    selector: str = ""

    @property
    def asked(self) -> str:
        """Both, as AWS takes them."""
        return f"{self.name}:{self.selector}" if self.selector else self.name

    @property
    def is_arn(self) -> bool:
        """Whether it may be another account's."""
        return self.name.startswith("arn:")

    @property
    def is_reference(self) -> bool:
        """Whether it stands for a secret of Secrets Manager."""
        return self.name.startswith("/aws/reference/")


def parsed(key: str, version: str = "") -> ParameterName:
    """What a key and a version name.

    Args:
        key: with the store's prefix; it may end with a colon and a version or label, as at AWS.
        version: as the manifest names it.

    Raises:
        ProviderError: nothing that Parameter Store could know.
    """
    key = key.strip(" ")  # as AWS does
    colons = _ARN_COLONS if key.startswith("arn:") else 0
    parts = key.split(":")
    name, selectors = ":".join(parts[: colons + 1]), parts[colons + 1 :]
    if not any(form.fullmatch(name) for form in (_PLAIN, _ARN, _SECRET)):
        raise ProviderError(
            f'remote secret "{key}" is no name of a parameter',
            hint="Write letters, digits, . - and _; a name with slashes begins with one; look at the store's prefix",
        )
    selectors += [version] if version else []
    if len(selectors) > 1:
        raise ProviderError(
            f'remote secret "{key}" names more than one version', hint="Name it in the key or in version"
        )
    if selectors and not _SELECTOR.fullmatch(selectors[0]):
        raise ProviderError(
            f'remote secret "{name}": "{selectors[0]}" is no version',
            hint="Set version to a number or a label",
        )
    return ParameterName(name, "".join(selectors))


def canonical(name: str) -> str:
    """The one form of a name: AWS takes `db` and `/db` for the same parameter."""
    return name[1:] if name.startswith("/") and "/" not in name[1:] else name


def absolute(name: str) -> str:
    """A name as one of the hierarchy below `/`."""
    return name if name.startswith("/") else f"/{name}"
