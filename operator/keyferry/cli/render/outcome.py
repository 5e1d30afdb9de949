"""From one manifest to what the operator would write: the same decisions and the same engine, without a cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import msgspec
import orjson

from keyferry.api.external_secret import ExternalSecretSpec, SecretStoreRef
from keyferry.api.model import decode
from keyferry.cli.render.manifests import Manifest, Manifests
from keyferry.cli.render.values import Values
from keyferry.core.desired import Owner, SecretPlan, Target, plan_write
from keyferry.core.manifest import check_manifest, manifest_of
from keyferry.core.sources import Answered, assemble, check_policies, optional_keys, questions
from keyferry.core.template import Rendered, Renderer, Texts, render_target
from keyferry.core.template_spec import Source, check_template, sources_of
from keyferry.core.windows import parse_windows
from keyferry.duration import parse_go_duration
from keyferry.errors import KeyferryError, RenderError, SpecError
from keyferry.gotemplate import Cache, Limits, Run
from keyferry.ports import ReadingRules
from keyferry.providers.aws import AWSProvider
from keyferry.providers.azure import AzureKVProvider
from keyferry.providers.fake import FakeProvider
from keyferry.providers.kubernetes import KubernetesProvider
from keyferry.providers.vault import OpenBaoProvider, VaultProvider
from keyferry.providers.webhook import WebhookProvider
from keyferry.secretdata import SecretBytes

READING: Final = {
    one.name: one.reading
    for one in (
        AWSProvider,
        AzureKVProvider,
        FakeProvider,
        KubernetesProvider,
        OpenBaoProvider,
        VaultProvider,
        WebhookProvider,
    )
}
OWN: Final = "reconcile.external-secrets.io/"
"""Prefix of what the operator notes on a Secret for itself."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How templates are rendered.

    Args:
        left, right: delimiters; empty for the usual ones.
        now: the time that they see.
    """

    left: str
    right: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a manifest.

    Args:
        plan: what would be written; None where it failed, or where nothing is written.
        failure: why it failed.
        notes: what the operator would tell besides.
    """

    manifest: Manifest
    plan: SecretPlan | None = None
    failure: KeyferryError | None = None
    notes: tuple[str, ...] = ()


def render_one(manifest: Manifest, found: Manifests, values: Values, settings: Settings) -> Outcome:
    """Render one manifest. Failures are told in the outcome."""
    try:
        return _rendered(manifest, found, values, settings)
    except KeyferryError as error:
        return Outcome(manifest, failure=error)


def _rendered(manifest: Manifest, found: Manifests, values: Values, settings: Settings) -> Outcome:
    spec = _spec(manifest.body.get("spec") or {})
    metadata = manifest.body["metadata"]
    target = Target(
        spec.target.name or metadata["name"],
        spec.target.creation_policy,
        spec.target.deletion_policy,
        spec.target.immutable,
        manifest_of(spec.target),
        spec.target.template,
        settings.left or "{{",
    )
    parse_go_duration(spec.refresh_interval or "1h")
    parse_windows(spec.sync_windows)
    check_policies(spec)
    check_template(spec.target)
    check_manifest(spec.target, allowed=True)
    renderer = _renderer(settings)
    annotations = _texts(metadata.get("annotations"))
    assembled = assemble(
        _answers(manifest, spec, found, values, optional_keys(annotations)),
        spec.target.deletion_policy,
        renderer,
    )
    absent = [f"{question.where}: the values have none, and it is left out" for question in assembled.absent]
    notes = (*assembled.missing, *absent, *assembled.collisions)
    if nothing := _why_nothing(target, is_empty=not assembled.data):
        return Outcome(manifest, notes=(*notes, nothing))
    if target.creation_policy == "Merge":
        notes = (*notes, "creationPolicy Merge: this is merged into one that has to exist")
        target = replace(target, creation_policy="CreateOrMerge")
    labels = _texts(metadata.get("labels"))
    made = Rendered(assembled.data, labels, annotations)
    if target.template is not None:
        sources = _sources(manifest.namespace, target, found)
        made = render_target(target.template, target.manifest, assembled.data, sources, renderer)
    owner = Owner(manifest.namespace, metadata["name"], "", made.labels, made.annotations)
    return Outcome(manifest, plan_write(owner, target, None, made.data, fields=made.fields), notes=notes)


def _why_nothing(target: Target, *, is_empty: bool) -> str:
    """Why nothing is written, whatever the templates are; empty where something is."""
    if target.creation_policy == "None":
        return "creationPolicy None: nothing is written"
    if is_empty and target.deletion_policy == "Delete":
        return f"there are no values, and deletionPolicy Delete: the {target.kind} is deleted"
    if is_empty and target.deletion_policy == "Retain":
        return f"there are no values, and deletionPolicy Retain: the {target.kind} stays as it is"
    return ""


def _spec(spec: Any) -> ExternalSecretSpec:
    try:
        return decode(orjson.dumps(spec, default=str), ExternalSecretSpec)
    except msgspec.DecodeError as error:
        raise SpecError(f"the spec is invalid: {error}") from None
    except TypeError:
        raise SpecError("the spec is invalid: it holds what JSON cannot") from None


def _texts(values: Any) -> dict[str, str]:
    if values and not isinstance(values, dict):
        raise SpecError("metadata: labels or annotations are no mapping")
    return {str(key): str(value) for key, value in (values or {}).items()}


def _renderer(settings: Settings) -> Renderer:
    run = Run(
        Limits(),
        now_ns=int(settings.now.timestamp() * 1_000_000) * 1_000,
        monotonic=time.monotonic,
        random_bytes=os.urandom,
    )
    return Renderer(run, Cache(), settings.left or "{{", settings.right or "}}")


def _answers(
    manifest: Manifest, spec: ExternalSecretSpec, found: Manifests, values: Values, optional: frozenset[str]
) -> list[Answered]:
    answers = []
    for question in questions(spec, optional):
        if question.generator is not None:
            source, rules = f'{question.generator.kind} "{question.generator.name}"', ReadingRules()
        else:
            source, rules = (
                f'{question.store.kind} "{question.store.name}"',
                _rules(manifest, question.store, found),
            )
        answers.append(
            Answered(
                question,
                source,
                values.answer(question),
                literal_first=rules.literal_property_first,
                missing_is_absent=rules.missing_property_is_absent,
                final=rules.asks_with_all,
                select=rules.select,
            )
        )
    return answers


def _rules(manifest: Manifest, store: SecretStoreRef, found: Manifests) -> ReadingRules:
    """How the store's provider reads properties, where its manifest is among those given."""
    namespace = "" if store.kind == "ClusterSecretStore" else manifest.namespace
    one = found.stores.get((store.kind, namespace, store.name)) or {}
    provider = (one.get("spec") or {}).get("provider") or {}
    return next((READING[name] for name in provider if name in READING), ReadingRules())


def _sources(namespace: str, target: Target, found: Manifests) -> Mapping[Source, Texts]:
    """The ConfigMaps and Secrets with templates, out of the manifests.

    Raises:
        RenderError: one is not among them.
    """
    texts: dict[Source, Texts] = {}
    wanted = sources_of(target.template) if target.template is not None else {}
    for source, keys in wanted.items():
        data = found.texts.get((source.kind, namespace, source.name))
        if data is None:
            raise RenderError(
                f'spec.target.template.templateFrom: {source.kind} "{namespace}/{source.name}" is not among '
                "the manifests",
                hint="Give its file or folder with -f, too",
            )
        chosen = {key: SecretBytes(data[key]) for key in keys if key in data}
        texts[source] = Texts(chosen, tuple(sorted(data)))
    return texts
