"""Which generators there are that need no store."""

from __future__ import annotations

from collections.abc import Mapping

from keyferry.clock import Clock, SystemClock
from keyferry.generators.fake import FakeGenerator
from keyferry.generators.mfa import MFAGenerator
from keyferry.generators.password import PasswordGenerator
from keyferry.generators.ssh_key import SSHKeyGenerator
from keyferry.generators.uuid import UUIDGenerator
from keyferry.ports import Generator


def build_generators(clock: Clock | None = None) -> Mapping[str, Generator]:
    """All of them, by their kind.

    Args:
        clock: for tokens of the moment; the machine's if left out.
    """
    generators: tuple[Generator, ...] = (
        FakeGenerator(),
        MFAGenerator(clock or SystemClock()),
        PasswordGenerator(),
        SSHKeyGenerator(),
        UUIDGenerator(),
    )
    return {generator.kind: generator for generator in generators}
