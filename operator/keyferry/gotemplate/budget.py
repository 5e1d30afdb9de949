"""What one render may take, charged in one place: `Run`, which every function gets as its first argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keyferry.gotemplate.errors import Exhausted, SlowFunction
from keyferry.gotemplate.values import Value

_MIB: Final = 1 << 20
_BYTES_PER_STEP: Final = 256
"""Touching so many bytes costs one step."""
_ELEMENT_BYTES: Final = 16
CRYPTO_UNITS_PER_S: Final = 600
"""Of the costly cryptography that a second allows: fewer than it has on a core that nobody else uses."""
_CLOCK_EVERY: Final = 2048
"""Steps between two looks at the clock, at most."""
_LOOKS: Final = 8
"""How often the clock is looked at even in a small budget."""
_COMPARED_PER_STEP: Final = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """What one render may take at most.

    Args:
        steps: units of work, about a microsecond each: a node, a call, a few hundred bytes touched.
        output_bytes: of the whole output.
        memory_bytes: of all values made together, whether or not they are still needed.
        value_bytes: of one value.
        seconds: wall clock, looked at from time to time; for what steps do not see.
        tokens: of a template's text.
        depth: templates within templates.
        nesting: parentheses and control structures within each other, when parsing.
        value_depth: lists and maps within each other.
        crypto_units: of costly cryptography, each about a millisecond of a usual core.
    """

    steps: int = 100_000
    output_bytes: int = 4 * _MIB
    memory_bytes: int = 64 * _MIB
    value_bytes: int = 16 * _MIB
    seconds: float = 5.0
    tokens: int = 20_000
    depth: int = 100
    nesting: int = 100
    value_depth: int = 100
    crypto_units: int = 3_000


class Run:
    """One render: what is left of its budget, its clock and its randomness.

    Args:
        limits: what it may take.
        now_ns: the time that `now` tells, in nanoseconds since 1970; one instant for the whole render.
        monotonic: a clock for the deadline, in seconds.
        random_bytes: cryptographically strong random bytes.
        allows_slow: whether costly cryptography may be done here; if not, it raises SlowFunction.
    """

    __slots__ = (
        "allows_slow",
        "clock_every",
        "crypto",
        "deadline",
        "depth",
        "limits",
        "memory",
        "monotonic",
        "now_ns",
        "out",
        "output",
        "random_bytes",
        "steps",
        "until_clock",
    )

    def __init__(
        self,
        limits: Limits,
        *,
        now_ns: int,
        monotonic: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        allows_slow: bool = True,
    ) -> None:
        self.limits = limits
        self.now_ns = now_ns
        self.monotonic = monotonic
        self.random_bytes = random_bytes
        self.allows_slow = allows_slow
        self.deadline = monotonic() + limits.seconds
        self.steps = limits.steps
        self.clock_every = min(_CLOCK_EVERY, limits.steps // _LOOKS)
        self.until_clock = limits.steps - self.clock_every
        self.memory = limits.memory_bytes
        self.output = limits.output_bytes
        self.crypto = limits.crypto_units
        self.depth = 0
        self.out: list[bytes] = []

    def spend(self, steps: int) -> None:
        """Note work, before it is done.

        Raises:
            Exhausted: it is more than is left.
        """
        self.steps -= steps
        if self.steps < self.until_clock:
            self._look()

    def _look(self) -> None:
        if self.steps < 0:
            raise Exhausted(f"it takes more work than {self.limits.steps} steps")
        self.until_clock = self.steps - self.clock_every
        if self.monotonic() > self.deadline:
            raise Exhausted(f"it takes longer than {self.limits.seconds:g} s")

    def charge(self, count: int) -> None:
        """Note that a value of so many bytes is about to be made, and the work of making it.

        Amplifiers call it before they allocate. Every function's result is charged again afterwards, so
        nobody else needs to.

        Raises:
            Exhausted: it is more than is left, or than one value may have.
        """
        if count > self.limits.value_bytes:
            raise Exhausted(f"a value has more than {self.limits.value_bytes} bytes")
        self.memory -= count
        if self.memory < 0:
            raise Exhausted(f"its values have more than {self.limits.memory_bytes} bytes together")
        self.spend(count // _BYTES_PER_STEP)

    def charge_elements(self, count: int) -> None:
        """The same for a list or map of so many elements; each costs a step too, or a fraction of one."""
        self.charge(count * _ELEMENT_BYTES)
        self.spend(count // 4)

    def charge_result(self, value: Value) -> None:
        """Charge what a function has returned: its own size, not that of what it refers to."""
        if isinstance(value, bytes | bytearray):
            self.charge(len(value))
        elif isinstance(value, list | dict):
            self.charge(len(value) * _ELEMENT_BYTES)

    def sorted_keys(self, values: dict[bytes, Value]) -> list[bytes]:
        """The map's keys, sorted by their bytes. Long ones that begin alike are dear to compare."""
        count = len(values)
        self.spend(count // 4 + sum(map(len, values)) * count.bit_length() // _COMPARED_PER_STEP)
        return sorted(values)

    def spend_crypto(self, units: int) -> None:
        """Note costly cryptography, in units of about a millisecond, before it is done.

        Raises:
            SlowFunction: it may not be done here.
            Exhausted: it is more than is left.
        """
        if not self.allows_slow:
            raise SlowFunction
        self.crypto -= units
        if self.crypto < 0:
            raise Exhausted(f"it takes more cryptography than {self.limits.crypto_units} units")

    def write(self, text: bytes) -> None:
        """Add to the output.

        Raises:
            Exhausted: it is too long.
        """
        self.output -= len(text)
        if self.output < 0:
            raise Exhausted(f"its output has more than {self.limits.output_bytes} bytes")
        self.out.append(text)
