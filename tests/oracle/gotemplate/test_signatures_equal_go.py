"""The functions that templates may call: the same names and types as in the reference operator, and no others."""

from __future__ import annotations

from keyferry.gotemplate.functions.table import FUNCTIONS

from .conftest import Oracle

NEVER = {"env", "expandenv", "getHostByName"}
"""Sprig's functions that reach the environment and the network."""


def test_every_function_has_the_signature_that_go_tells(oracle: Oracle):
    expected = {name: signature["type"] for name, signature in oracle.signatures().items()}

    actual = {name: function.signature.text for name, function in FUNCTIONS.items()}

    assert len(expected) == 245
    assert expected == actual


def test_every_function_takes_as_many_arguments_as_in_go(oracle: Oracle):
    """Of Go's own functions reflection does not tell the type: this is what the engine says of them."""
    expected = {name: signature["arity"] for name, signature in oracle.signatures().items()}

    actual = {}
    for name, function in FUNCTIONS.items():
        count, variadic = len(function.signature.params), function.signature.variadic
        least = f"at least {count - 1}" if count > 1 else ""
        actual[name] = least if variadic else str(count)

    assert expected == actual


def test_no_function_reaches_the_environment_or_the_network():
    assert set() == NEVER & FUNCTIONS.keys()
