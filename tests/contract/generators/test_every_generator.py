"""What holds for every kind of generator, whatever it asks."""

from __future__ import annotations

import json

import pytest

from keyferry.api.generators.kinds import AVAILABLE
from keyferry.api.generators.local import FakeSpec, UUIDSpec
from keyferry.errors import ForbiddenError, KeyferryError, SpecError, one_line
from keyferry.ports import GeneratorView

SAME_EACH_TIME = {"Fake", "MFA"}
"""What a Fake gives stands in its spec, and an MFA of a pinned moment is that of the moment."""


CERTIFICATE = [
    *("ca_chain", "certificate", "expiration", "issuing_ca"),
    *("private_key", "private_key_type", "serial_number"),
]
KEYS = {"Webhook": ["number", "scopes", "token"], "VaultDynamicSecret": CERTIFICATE}
"""Of kinds whose keys only an answer tells: those of the answer here."""


def keys_of(world, kind, spec):
    told = world.generators[kind].keys(world.view(kind, spec))
    assert (told is None) == (kind in KEYS)
    return sorted(KEYS[kind] if told is None else told)


async def test_keys_are_those_of_the_values(world, case):
    kind, spec = case
    made = await world.generate(kind, spec)

    assert sorted(made.data) == keys_of(world, kind, spec)


async def test_values_are_new_each_time(world, case):
    kind, spec = case

    first, second = [await world.generate(kind, spec) for _ in range(2)]

    if kind in SAME_EACH_TIME:
        assert first.data == second.data
    else:
        assert first.data != second.data


async def test_cluster_generator_makes_the_same_keys(world, case):
    kind, spec = case

    made = await world.generate(kind, spec, cluster_wide=True)

    assert sorted(made.data) == keys_of(world, kind, spec)


async def test_looking_asks_nobody(world, case):
    """A reconcile looks at keys each time: that must cost no call, and no token at a server."""
    kind, spec = case
    view = world.view(kind, spec)

    world.generators[kind].check(view)
    world.generators[kind].keys(view)

    assert (0, []) == (world.calls(), world.cluster.tokens)


async def test_state_is_json_without_a_value(world, case):
    kind, spec = case

    made = await world.generate(kind, spec)

    if made.state:
        assert isinstance(json.loads(made.state), dict)
        assert [] == [
            key for key, value in made.data.items() if key == "token" and value.reveal() in made.state
        ]
    assert bool(made.state) is world.generators[kind].stateful


async def test_what_was_made_does_not_show_itself(world, case):
    kind, spec = case

    made = await world.generate(kind, spec)

    shown = repr(made) + str(made) + f"{made}"
    values = {value.reveal().decode() for value in made.data.values()}
    assert [] == [value for value in values if len(value) > 5 and value in shown]


async def test_cleanup_without_a_state_of_its_own_does_nothing(world, case):
    kind, spec = case

    await world.generators[kind].cleanup(world.view(kind, spec), b"{}", world.cluster)

    assert 0 == world.calls()


@pytest.mark.parametrize("kind", [kind for kind in AVAILABLE if kind != "UUID"])  # which has an empty spec
async def test_spec_of_another_kind_is_refused(world, toolbox, kind):
    spec = next(spec for of, spec in toolbox.specs(world).values() if of == kind)
    view = world.view(kind, spec)
    other = UUIDSpec() if kind == "Fake" else FakeSpec()

    with pytest.raises(SpecError, match="is no"):
        world.generators[kind].check(GeneratorView(view.key, kind, view.namespace, other))


REFERENCES = {
    "mfa": ("secret",),
    "ecr": ("auth", "secretRef", "accessKeyIDSecretRef"),
    "sts": ("auth", "secretRef", "secretAccessKeySecretRef"),
    "github": ("auth", "privateKey", "secretRef"),
    "gitlab-project": ("auth", "token", "secretRef"),
    "quay": ("serviceAccountRef",),
    "acr-workload": ("auth", "workloadIdentity", "serviceAccountRef"),
    "vault": ("provider", "auth", "tokenSecretRef"),
}
"""Where the spec of a case names an object."""
KEYS_OF_SECRETS = [name for name, path in REFERENCES.items() if path[-1] != "serviceAccountRef"]


def changed(spec, path, **fields):
    """The spec with fields of an object inside it set."""
    head, *rest = path
    inner = changed(spec[head], rest, **fields) if rest else spec[head] | fields
    return spec | {head: inner}


@pytest.mark.parametrize("name", REFERENCES)
async def test_reference_of_a_namespaced_generator_stays_at_home(world, toolbox, name):
    kind, spec = toolbox.specs(world)[name]
    path = REFERENCES[name]

    with pytest.raises(ForbiddenError, match=rf"spec\.{'.'.join(path)}\.namespace"):
        await world.generate(kind, changed(spec, path, namespace="team-b"))


@pytest.mark.parametrize("name", REFERENCES)
async def test_cluster_generator_may_name_a_namespace(world, toolbox, name):
    """Without one it means the ExternalSecret's."""
    kind, spec = toolbox.specs(world)[name]
    for path in {
        REFERENCES[name],
        *([REFERENCES["ecr"], REFERENCES["sts"]] if name in ("ecr", "sts") else []),
    }:
        spec = changed(spec, path, namespace="team-a")

    made = await world.generate(kind, spec, cluster_wide=True, namespace="team-b")

    assert made.data


@pytest.mark.parametrize("name", REFERENCES)
async def test_object_that_is_not_there_is_named(world, toolbox, leaks, name):
    kind, spec = toolbox.specs(world)[name]

    with pytest.raises(KeyferryError) as failure:
        await world.generate(kind, changed(spec, REFERENCES[name], name="absent"))

    assert '"team-a/absent" does not exist' in str(failure.value)
    assert [] == leaks.look_at_error("failure", failure.value)


@pytest.mark.parametrize("name", KEYS_OF_SECRETS)
async def test_secret_without_the_key_is_named(world, toolbox, leaks, name):
    kind, spec = toolbox.specs(world)[name]

    with pytest.raises(KeyferryError) as failure:
        await world.generate(kind, changed(spec, REFERENCES[name], key="absent"))

    assert '"absent"' in failure.value.message
    assert failure.value.hint
    assert one_line(str(failure.value)) == str(failure.value)
    assert [] == leaks.look_at_error("failure", failure.value)


@pytest.mark.parametrize("name", KEYS_OF_SECRETS)
@pytest.mark.parametrize("field", ["name", "key"])
async def test_selector_that_is_not_complete_is_a_mistake_of_the_spec(world, toolbox, name, field):
    kind, spec = toolbox.specs(world)[name]

    with pytest.raises(SpecError, match=r"must have a name and a key|must be set"):
        await world.generate(kind, changed(spec, REFERENCES[name], **{field: None}))


def test_every_kind_that_can_be_used_is_there_and_tried(world, toolbox):
    assert set(AVAILABLE) == set(world.generators)
    assert set(AVAILABLE) == {kind for kind, _ in toolbox.specs(world).values()}
    assert set(toolbox.cases) == set(toolbox.specs(world))
    assert {kind: kind for kind in world.generators} == {k: g.kind for k, g in world.generators.items()}
