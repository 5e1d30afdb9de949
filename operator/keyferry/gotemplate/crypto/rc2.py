"""RC2 in CBC mode (RFC 2268), for decrypting only: old keystores hide their certificates with 40 bits of it."""

from __future__ import annotations

from typing import Final

BLOCK: Final = 8
_PI: Final = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2"
    "179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82"
    "54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626"
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7"
    "08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec"
    "c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731"
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9"
    "0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad"
)
_WORD: Final = 0xFFFF
_SHIFTS: Final = (1, 2, 3, 5)


def _schedule(key: bytes) -> list[int]:
    """The 64 words of a key all of whose bits count."""
    size = len(key)
    expanded = bytearray(key)
    for at in range(size, 128):
        expanded.append(_PI[(expanded[at - 1] + expanded[at - size]) & 0xFF])
    expanded[128 - size] = _PI[expanded[128 - size]]
    for at in range(127 - size, -1, -1):
        expanded[at] = _PI[expanded[at + 1] ^ expanded[at + size]]
    return [int.from_bytes(expanded[at : at + 2], "little") for at in range(0, 128, 2)]


def _unmix(words: list[int], key: list[int], at: int) -> None:
    for place in (3, 2, 1, 0):
        shift = _SHIFTS[place]
        word = words[place]
        word = (word >> shift | word << 16 - shift) & _WORD
        before, second, third = words[place - 1], words[place - 2], words[place - 3]
        words[place] = (word - key[at + place] - (before & second) - (~before & third)) & _WORD


def _unmash(words: list[int], key: list[int]) -> None:
    for place in (3, 2, 1, 0):
        words[place] = (words[place] - key[words[place - 1] & 63]) & _WORD


def _decrypt_block(block: bytes, key: list[int]) -> int:
    words = [int.from_bytes(block[at : at + 2], "little") for at in range(0, BLOCK, 2)]
    for at in range(60, -4, -4):
        _unmix(words, key, at)
        if at in {44, 20}:
            _unmash(words, key)
    return int.from_bytes(b"".join(word.to_bytes(2, "little") for word in words), "big")


def decrypt(key: bytes, vector: bytes, text: bytes) -> bytes:
    """What the text, whole blocks of it, was before it was encrypted; its padding is still there."""
    words = _schedule(key)
    out: list[bytes] = []
    before = int.from_bytes(vector, "big")
    for at in range(0, len(text), BLOCK):
        block = text[at : at + BLOCK]
        out.append((_decrypt_block(block, words) ^ before).to_bytes(BLOCK, "big"))
        before = int.from_bytes(block, "big")
    return b"".join(out)
