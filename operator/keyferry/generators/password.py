"""Password: random characters of several classes, from the operating system's randomness."""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from keyferry.api.generators.local import DEFAULT_LENGTH, PasswordSpec
from keyferry.api.model import Model
from keyferry.core.generator_spec import spec_path, typed
from keyferry.errors import SpecError
from keyferry.generators.offline import Offline
from keyferry.ports import ClusterAccess, Generated, GeneratorView
from keyferry.secretdata import SecretData

DEFAULT_KEYS: Final = ("password",)
DEFAULT_SYMBOLS: Final = '~!@#$%^&*()_+`-={}|[]\\:"<>?,./'
MAX_CHARS: Final = 65_536
"""Most characters of all passwords of one generator together: making more would hold up everybody else."""

_ENCODINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "raw": bytes,
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
    "base32": base64.b32encode,
    "hex": lambda value: value.hex().encode(),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a password consists of.

    Args:
        letters, digits, symbols: how many of each.
        letter_pool, symbol_pool: what they are drawn from, each character once.
        repeats: whether a character may occur more than once.
    """

    letters: int
    digits: int
    symbols: int
    letter_pool: str
    symbol_pool: str
    repeats: bool

    def make(self) -> str:
        """A new password."""
        if self.repeats:
            chosen = [secrets.choice(self.letter_pool) for _ in range(self.letters)]
            chosen += [secrets.choice(string.digits) for _ in range(self.digits)]
            chosen += [secrets.choice(self.symbol_pool) for _ in range(self.symbols)]
        else:
            # Symbols first: they may be letters or digits too, and must leave enough of those.
            taken = self._distinct_symbols()
            chosen = [*taken, *_sample(self.letter_pool, taken, self.letters)]
            chosen += _sample(string.digits, taken, self.digits)
        _RANDOM.shuffle(chosen)
        return "".join(chosen)

    def room_for_symbols(self) -> int:
        """Most distinct symbols that leave enough distinct letters and digits."""
        pool = set(self.symbol_pool)
        letters, digits = set(self.letter_pool), set(string.digits)
        return (
            len(pool - letters - digits)
            + min(len(pool & letters), len(letters) - self.letters)
            + min(len(pool & digits), len(digits) - self.digits)
        )

    def _distinct_symbols(self) -> list[str]:
        spare_letters = len(self.letter_pool) - self.letters
        spare_digits = len(string.digits) - self.digits
        chosen: list[str] = []
        for char in _RANDOM.sample(self.symbol_pool, len(self.symbol_pool)):
            if len(chosen) == self.symbols:
                break
            if char in self.letter_pool:
                if not spare_letters:
                    continue
                spare_letters -= 1
            elif char in string.digits:
                if not spare_digits:
                    continue
                spare_digits -= 1
            chosen.append(char)
        return chosen


_RANDOM: Final = secrets.SystemRandom()


def _sample(pool: str, taken: Sequence[str], count: int) -> list[str]:
    return _RANDOM.sample([char for char in pool if char not in taken], count)


class PasswordGenerator(Offline):
    """See the module's docstring."""

    kind: ClassVar[str] = "Password"
    spec: ClassVar[type[Model]] = PasswordSpec

    def check(self, view: GeneratorView) -> None:
        """See `ports.Generator.check`."""
        spec = typed(view.spec, PasswordSpec)
        path = spec_path(view.kind, cluster_scoped=view.cluster_scoped)
        _recipe(spec, path)
        if "" in spec.secret_keys or len(set(spec.secret_keys)) < len(spec.secret_keys):
            raise SpecError(f"{path}.secretKeys must be non-empty and unique")
        if _length(spec) * len(self.keys(view)) > MAX_CHARS:
            raise SpecError(
                f"{path}.length: more than {MAX_CHARS} characters, of all secretKeys together, are not generated",
                hint="Choose a shorter length",
            )

    def keys(self, view: GeneratorView) -> Sequence[str]:
        """See `ports.Generator.keys`."""
        return typed(view.spec, PasswordSpec).secret_keys or DEFAULT_KEYS

    async def generate(self, view: GeneratorView, cluster: ClusterAccess) -> Generated:  # noqa: ARG002
        """See `ports.Generator.generate`. Each key gets a password of its own."""
        spec = typed(view.spec, PasswordSpec)
        recipe = _recipe(spec, spec_path(view.kind, cluster_scoped=view.cluster_scoped))
        encode = _ENCODINGS[spec.encoding]
        return Generated(SecretData({key: encode(recipe.make().encode()) for key in self.keys(view)}))


def _length(spec: PasswordSpec) -> int:
    return spec.length if spec.length > 0 else DEFAULT_LENGTH


def _recipe(spec: PasswordSpec, path: str) -> Recipe:
    """What the spec asks for.

    Raises:
        SpecError: no password is like that; the message names the field.
    """
    length = _length(spec)
    digits = length // 4 if spec.digits is None else spec.digits
    symbols = length // 4 if spec.symbols is None else spec.symbols
    for field, count in (("digits", digits), ("symbols", symbols)):
        if count < 0:
            raise SpecError(f"{path}.{field} must not be negative")
    if digits + symbols > length:
        raise SpecError(
            f"{path}.length: {length} characters have no room for {digits} digits and {symbols} symbols",
            hint="Raise length, or lower digits or symbols",
        )
    recipe = Recipe(
        letters=length - digits - symbols,
        digits=digits,
        symbols=symbols,
        letter_pool=string.ascii_lowercase if spec.no_upper else string.ascii_letters,
        symbol_pool="".join(dict.fromkeys(spec.symbol_characters or DEFAULT_SYMBOLS)),
        repeats=spec.allow_repeat,
    )
    if not recipe.repeats:
        _check_distinct(recipe, path)
    return recipe


def _check_distinct(recipe: Recipe, path: str) -> None:
    for field, count, room, what in (
        ("digits", recipe.digits, len(string.digits), "digits"),
        ("length", recipe.letters, len(recipe.letter_pool), "letters"),
    ):
        if count > room:
            raise SpecError(
                f"{path}.{field}: {count} {what} cannot all differ, there are {room}",
                hint="Set allowRepeat, or ask for fewer",
            )
    room = recipe.room_for_symbols()
    if recipe.symbols > room:
        raise SpecError(
            f"{path}.symbols: {recipe.symbols} symbols cannot all differ, there are {room} for them",
            hint="Set allowRepeat, ask for fewer, or add symbolCharacters",
        )
