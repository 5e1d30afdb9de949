"""What a Helm release of the reference operator installs, as far as taking over meets it.

Definitions that belong to the release, with a version that was stored before the present one; validating
webhooks behind a Service that nobody answers; a Deployment. As objects, or as a small chart of the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import yaml

from keyferry.api import names
from keyferry.api.crd import KINDS, crd
from keyferry.testing.kubeclient import Object, Objects

RELEASE: Final = "external-secrets"
"""Name and namespace of the release, and name of the chart, as its documentation has them."""
SERVICE: Final = "external-secrets-webhook"
VALIDATED: Final = {
    "secretstore-validate": ("secretstore", "clustersecretstore"),
    "externalsecret-validate": ("externalsecret",),
}
"""The kinds that each of its webhook configurations watches."""
_LEGACY: Final = "v1beta1"
_VALUES: Final = """\
installCRDs: true
crds:
  annotations: {}
webhook:
  create: true
"""
_BRACES: Final = '{{ "{{" }}'


def definitions(*, stored: str = names.VERSION, webhook: bool = False) -> Objects:
    """Its definitions.

    Args:
        stored: the version that is stored. With the one before the present, both are served, as by old releases.
        webhook: convert by its webhook, as releases did before both versions had the same schema.
    """
    made = [json.loads(json.dumps(crd(kind, serve_legacy=stored == _LEGACY))) for kind in KINDS]
    for one in made:
        one["metadata"]["annotations"] = {"controller-gen.kubebuilder.io/version": "v0.19.0"}
        versions = one["spec"]["versions"]
        for version in versions if len(versions) > 1 else ():
            version["storage"] = version["name"] == stored
        if len(versions) > 1 and webhook:
            service = {"name": SERVICE, "namespace": RELEASE, "path": "/convert"}
            one["spec"]["conversion"] = {
                "strategy": "Webhook",
                "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"service": service}},
            }
    return [*made, _other_kind("PushSecret", "Namespaced"), _other_kind("ClusterPushSecret", "Cluster")]


def _other_kind(kind: str, scope: str) -> Object:
    """A kind of which there is only a definition: nobody else has one of this name."""
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": loose, "status": loose}}}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": schema}
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{names.GROUP}",
            "labels": {names.LABEL_COMPONENT: names.LABEL_COMPONENT_CONTROLLER},
        },
        "spec": {
            "group": names.GROUP,
            "names": {"kind": kind, "plural": plural},
            "scope": scope,
            "versions": [version | {"subresources": {"status": {}}}],
        },
    }


def webhooks() -> Objects:
    """Its validating webhooks: without an answer every change of an object is refused."""
    return [_webhook(name, kinds) for name, kinds in VALIDATED.items()]


def _webhook(name: str, kinds: tuple[str, ...]) -> Object:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name, "labels": {names.LABEL_COMPONENT: names.LABEL_TYPE_WEBHOOK}},
        "webhooks": [
            {
                "name": f"validate.{kind}.{names.GROUP}",
                "rules": [
                    {
                        "apiGroups": [names.GROUP],
                        "apiVersions": [names.VERSION],
                        "operations": ["CREATE", "UPDATE", "DELETE"],
                        "resources": [f"{kind}s"],
                        "scope": "Cluster" if kind.startswith("cluster") else "Namespaced",
                    }
                ],
                "clientConfig": {
                    "service": {
                        "name": SERVICE,
                        "namespace": RELEASE,
                        "path": f"/validate-external-secrets-io-v1-{kind}",
                    }
                },
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": 5,
                "failurePolicy": "Fail",
            }
            for kind in kinds
        ],
    }


def _deployment() -> Object:
    labels = {"app.kubernetes.io/name": RELEASE, "app.kubernetes.io/instance": RELEASE}
    container = {"name": RELEASE, "image": "external-secrets"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": RELEASE, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def write_chart(folder: Path, *, stored: str = names.VERSION) -> Path:
    """A chart that installs the same: the definitions among its templates, as the reference's has them.

    Its values that count here: `installCRDs`, `crds.annotations`, `webhook.create`.

    Args:
        folder: where; replaced if it exists.
        stored: as of `definitions`.
    """
    templates = folder / "templates"
    templates.mkdir(parents=True, exist_ok=True)
    (folder / "Chart.yaml").write_text(f"apiVersion: v2\nname: {RELEASE}\nversion: 2.9.0\n")
    (folder / "values.yaml").write_text(_VALUES)
    for number, one in enumerate(definitions(stored=stored)):
        text = yaml.safe_dump(one, sort_keys=False).replace("{{", _BRACES)
        more = "    {{- with .Values.crds.annotations }}\n    {{- toYaml . | nindent 4 }}\n    {{- end }}\n"
        before, _, after = text.partition("  annotations:\n")
        if not after:
            before, _, after = text.partition("metadata:\n")
            before += "metadata:\n"
        text = f"{before}  annotations:\n    chart: {RELEASE}\n{more}{after}"
        guarded = f"{{{{- if .Values.installCRDs }}}}\n{text}{{{{- end }}}}\n"
        (templates / f"crd-{number:02}.yaml").write_text(guarded, "utf-8")
    validating = yaml.safe_dump_all(webhooks(), sort_keys=False)
    guarded = f"{{{{- if .Values.webhook.create }}}}\n{validating}{{{{- end }}}}\n"
    (templates / "webhooks.yaml").write_text(guarded, "utf-8")
    (templates / "deployment.yaml").write_text(yaml.safe_dump(_deployment(), sort_keys=False), "utf-8")
    return folder
