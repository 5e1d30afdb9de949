"""A SecretStore reaches only its own namespace: every reference of every provider, at any depth."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from keyferry.api.meta import NamespacedReference
from keyferry.api.references import reference_paths
from keyferry.api.secret_store import SecretStoreProvider
from keyferry.core.stores import check_references, is_referent, references
from keyferry.errors import ForbiddenError

PROVIDERS = {
    name: next(arg for arg in typing.get_args(hint) if arg is not type(None))
    for name, hint in typing.get_type_hints(SecretStoreProvider).items()
    if any(isinstance(arg, type) and issubclass(arg, msgspec.Struct) for arg in typing.get_args(hint))
}


def _filled(hint: Any, namespace: Callable[[], str]) -> Any:
    """A value of this type with every optional field set, as full as a store can be."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return arguments[0]
    if origin in (typing.Union, types.UnionType):
        return _filled(arguments[0], namespace)
    if origin is tuple:
        return (_filled(arguments[0], namespace), _filled(arguments[0], namespace))
    if origin is dict:
        return {}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = typing.get_type_hints(hint)
        fields = {name: _filled(hints[name], namespace) for name in hint.__struct_fields__}
        if issubclass(hint, NamespacedReference):
            fields["namespace"] = namespace()
        return hint(**fields)
    return {str: "1h", int: 1, bool: True}.get(hint)  # the text passes for a duration too


def _count(provider: str) -> int:
    seen = []
    _filled(PROVIDERS[provider], lambda: seen.append(1) or "home")
    return len(seen)


CASES = [(provider, index) for provider in PROVIDERS for index in range(_count(provider))]


def _with_one_abroad(provider, index):
    names = iter(["home"] * index + ["abroad"] + ["home"] * _count(provider))
    return _filled(PROVIDERS[provider], lambda: next(names))


@pytest.mark.parametrize(("provider", "index"), CASES)
def test_reference_abroad_is_refused_and_named(provider, index):
    block = _with_one_abroad(provider, index)
    abroad = [path for path, reference in references(block) if reference.namespace == "abroad"]

    with pytest.raises(ForbiddenError) as caught:
        check_references(block, "home")

    assert len(abroad) == 1
    assert caught.value.message.startswith(
        f'{abroad[0]}.namespace is "abroad": namespace should either be empty'
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_reference_that_the_type_can_hold_is_found(provider):
    block = _filled(PROVIDERS[provider], lambda: "home")
    found = {path.replace("[0]", ".[]") for path, _ in references(block) if "[1]" not in path}

    assert found == {".".join(("spec.provider", *path)) for path in reference_paths(PROVIDERS[provider])}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_references_at_home_pass(provider):
    check_references(_filled(PROVIDERS[provider], lambda: "home"), "home")
    check_references(_filled(PROVIDERS[provider], lambda: ""), "home")


def test_cluster_store_may_refer_to_any_namespace():
    check_references(_with_one_abroad("vault", 0), "")


def test_path_tells_where_the_block_stands():
    with pytest.raises(ForbiddenError, match=r"^spec\.provider\.aws\.auth\."):
        check_references(_with_one_abroad("aws", 0), "home", "spec.provider.aws")


def test_deep_references_are_among_them():
    """So that the cases above are known to be more than none."""
    paths = {path for path, _ in references(_filled(PROVIDERS["vault"], lambda: "home"))}

    assert {
        "spec.provider.caProvider",
        "spec.provider.tls.keySecretRef",
        "spec.provider.auth.jwt.kubernetesServiceAccountToken.serviceAccountRef",
    } <= paths


def test_untyped_block_has_none_that_we_know():
    check_references({"auth": {"secretRef": {"namespace": "abroad"}}}, "home")


@pytest.mark.parametrize(("namespace", "referent"), [("", True), ("home", False)])
def test_store_with_an_open_namespace_is_referent(namespace, referent):
    assert is_referent(_filled(PROVIDERS["aws"], lambda: namespace)) is referent
