"""spec.target.template on a real API server: what is rendered, from what, and what renders it again."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keyferry.errors import KubeInvalid
from keyferry.reconcile.repairs import AT_ONCE
from keyferry.testing.apiproxy import ApiProxy
from keyferry.testing.builders import (
    Object,
    config_map,
    entry,
    external_secret,
    extract,
    generated,
    generator,
    secret,
    store,
)
from keyferry.testing.kubeclient import path_of
from keyferry.testing.leaks import canary
from keyferry.testing.operator import OperatorProcess
from keyferry.testing.tenant import Tenant, soon

StartOperator = Callable[..., OperatorProcess]
ONE, TWO = canary("one"), canary("two")
WITH_BRACES = f"{{{{ .{canary('template')}-x }}}}"


def templated(
    *entries: Object, name: str = "app", target: dict[str, Any] | None = None, **template: Any
) -> Object:
    """An ExternalSecret with a template; the value `v` if there are no entries."""
    fields = {"template": template, **(target or {})}
    return external_secret(name, *(entries or (entry("v", "db"),)), target=fields)


def from_objects(kind: str, name: str, *keys: str, as_: str = "Values", **fields: str) -> Object:
    """One entry of templateFrom."""
    return {kind: {"name": name, "items": [{"key": key, "templateAs": as_} for key in keys]}, **fields}


def labels(found: Object, kind: str = "labels") -> dict[str, str]:
    """An object's labels or annotations without ours."""
    every: dict[str, str] = found["metadata"].get(kind) or {}
    return {key: value for key, value in every.items() if "external-secrets.io" not in key}


def syncs(operator: OperatorProcess, tenant: Tenant, name: str) -> int:
    """How often an object was synced, by the operator's log."""
    about = f" kind=ExternalSecret namespace={tenant.namespace} name={name}"
    return sum("sync: " in line and line.endswith(about) for line in operator.log.splitlines())


# -- what is made


def test_secret_is_what_the_templates_make(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(
        store({"db": json.dumps({"user": "shop", "password": ONE})}),
        config_map("texts", {"env": "USER={{ .user }}\n", "more": '{{ .user }}: "{{ .password | b64enc }}"'}),
        secret("texts", {"url": "db://{{ .user }}:{{ .password }}@host"}),
        external_secret(
            "app",
            extract("db"),
            metadata={"labels": {"copied": "never"}},
            target={
                "template": {
                    "type": "example.com/custom",
                    "metadata": {
                        "labels": {"user": "{{ .user }}"},
                        "annotations": {"note": "of {{ .user }}"},
                        "finalizers": ["example.com/keep"],
                    },
                    "data": {"config.yaml": "user: {{ .user | quote }}\npassword: {{ .password | quote }}\n"},
                    "templateFrom": [
                        from_objects("configMap", "texts", "env"),
                        from_objects("configMap", "texts", "more", as_="KeysAndValues"),
                        from_objects("secret", "texts", "url"),
                        {"literal": "tier: {{ .user }}-db", "target": "labels"},
                    ],
                }
            },
        ),
    )

    tenant.wait_synced("app")
    found = tenant.get("Secret", "app")
    assert tenant.values("app") == {
        "config.yaml": f'user: "shop"\npassword: "{ONE}"\n',
        "env": "USER=shop\n",
        "shop": base64.b64encode(ONE.encode()).decode(),
        "url": f"db://shop:{ONE}@host",
    }
    assert labels(found) == {"user": "shop", "tier": "shop-db"}
    assert labels(found, "annotations") == {"note": "of shop"}
    assert (found["type"], found["metadata"]["finalizers"]) == ("example.com/custom", ["example.com/keep"])
    tenant.edit("Secret", "app", {"metadata": {"finalizers": None}})


def test_docker_config_is_taken_by_the_api_server(tenant: Tenant, operator: OperatorProcess) -> None:
    text = '{"auths":{"registry.example.com":{"auth":"{{ printf "%s:%s" .user .v | b64enc }}"}}}'
    tenant.create(
        store({"db": ONE, "user": "shop"}),
        templated(
            entry("v", "db"),
            entry("user", "user"),
            type="kubernetes.io/dockerconfigjson",
            data={".dockerconfigjson": text},
        ),
    )

    tenant.wait_synced("app")
    auth = json.loads(tenant.values("app")[".dockerconfigjson"])["auths"]["registry.example.com"]["auth"]
    assert base64.b64decode(auth).decode() == f"shop:{ONE}"


def test_values_of_the_store_are_rendered_anew_at_a_refresh(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(store({"db": ONE}), templated(data={"url": "x://{{ .v }}"}))
    tenant.wait_values("app", {"url": f"x://{ONE}"})
    tenant.set_store(store({"db": TWO}))
    tenant.annotate("ExternalSecret", "app", {"external-secrets.io/force-sync": "1"})

    tenant.wait_values("app", {"url": f"x://{TWO}"})


def test_refresh_that_makes_the_same_writes_nothing(tenant: Tenant, private_operator: StartOperator) -> None:
    """Also where a label is made of a value, so that the Secret has to be looked at."""
    tenant.create(store({"db": ONE, "user": "shop"}, controller="private"))
    operator = private_operator()
    entries = (entry("v", "db"), entry("user", "user"))
    target = {"template": {"metadata": {"labels": {"user": "{{ .user }}"}}, "data": {"url": "x://{{ .v }}"}}}
    tenant.create(external_secret("app", *entries, target=target, refreshInterval="1s"))
    tenant.wait_synced("app")
    version = tenant.version("Secret", "app")
    tenant.wait_refreshes(operator, "app", 4)

    assert tenant.version("Secret", "app") == version


def test_labels_of_a_template_are_put_back_at_once(tenant: Tenant, operator: OperatorProcess) -> None:
    """A fixed one without asking the store, and one that is made of a value with it."""
    metadata = {"labels": {"app": "shop", "user": "{{ .user }}"}}
    tenant.create(store({"user": "u"}), templated(entry("user", "user"), data={"v": "x"}, metadata=metadata))
    tenant.wait_synced("app")
    calls = tenant.sync_calls(operator, "app")
    tenant.label("Secret", "app", {"app": "other"})
    soon(lambda: labels(tenant.get("Secret", "app"))["app"] == "shop")
    assert tenant.sync_calls(operator, "app") == calls

    tenant.label("Secret", "app", {"user": None})
    soon(lambda: labels(tenant.get("Secret", "app")).get("user") == "u")


# -- templateFrom


def test_changed_text_is_rendered_at_once_and_by_nobody_else(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.create(
        store({"db": ONE}),
        config_map("texts", {"a": "1 {{ .v }}", "other": "x"}),
        config_map("others", {"a": "other {{ .v }}"}),
        secret("texts", {"b": "1 {{ .v }}"}),
        templated(name="by-map", templateFrom=[from_objects("configMap", "texts", "a")]),
        templated(name="by-secret", templateFrom=[from_objects("secret", "texts", "b")]),
        templated(name="by-other", templateFrom=[from_objects("configMap", "others", "a")]),
    )
    for name in ("by-map", "by-secret", "by-other"):
        tenant.wait_synced(name)
    tenant.edit("ConfigMap", "texts", {"data": {"a": "2 {{ .v }}"}})
    tenant.wait_values("by-map", {"a": f"2 {ONE}"})
    tenant.set_data("texts", {"b": "2 {{ .v }}"})
    tenant.wait_values("by-secret", {"b": f"2 {ONE}"})

    assert [syncs(operator, tenant, name) for name in ("by-map", "by-secret", "by-other")] == [2, 2, 1]


def test_text_that_another_writes_is_rendered_at_once(tenant: Tenant, operator: OperatorProcess) -> None:
    """The text comes from a store itself: what the operator writes is news for who is made from it."""
    tenant.create(
        store({"db": ONE, "text": "1 {{ .v }}"}),
        external_secret("texts", entry("a", "text")),
        templated(templateFrom=[from_objects("secret", "texts", "a")]),
    )
    tenant.wait_values("app", {"a": f"1 {ONE}"})
    tenant.set_store(store({"db": ONE, "text": "2 {{ .v }}"}))
    tenant.annotate("ExternalSecret", "texts", {"external-secrets.io/force-sync": "1"})

    tenant.wait_values("app", {"a": f"2 {ONE}"})


@pytest.mark.restless  # that is what it is about
def test_two_that_are_made_from_each_other_are_rendered_more_and_more_rarely(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """Or they would write each other's templates as fast as the API server lets them."""
    tenant.create(store({"db": ONE}), secret("a", {"k": "x"}), secret("b", {"k": "x"}))
    for name, other in (("a", "b"), ("b", "a")):
        tenant.create(
            templated(
                name=name,
                target={"creationPolicy": "Merge"},
                templateFrom=[from_objects("secret", other, "k")],
                data={"k": "{{ randAlphaNum 8 }}"},
            )
        )
    told = f"again and again: it is put right more rarely kind=ExternalSecret namespace={tenant.namespace}"
    # One of them is told to wait, and then the other has nothing to follow.
    soon(lambda: told in operator.log)

    assert max(syncs(operator, tenant, name) for name in ("a", "b")) <= AT_ONCE + 2


def test_change_of_what_is_not_rendered_asks_no_store(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.create(
        store({"db": ONE}),
        config_map("texts", {"a": "{{ .v }}", "other": "x"}),
        templated(templateFrom=[from_objects("configMap", "texts", "a")]),
    )
    tenant.wait_synced("app")
    looks = tenant.looks(operator, "app")
    tenant.edit("ConfigMap", "texts", {"data": {"other": "y"}, "metadata": {"labels": {"x": "y"}}})
    tenant.wait_looks(operator, "app", more_than=looks)

    assert syncs(operator, tenant, "app") == 1


@pytest.mark.parametrize("kind", ["configMap", "secret"])
def test_what_is_missing_is_told_and_mended_when_it_appears(
    tenant: Tenant, operator: OperatorProcess, kind: str
) -> None:
    """First the object, then a key of it; and the last good Secret outlives the deletion of the object."""
    made = "ConfigMap" if kind == "configMap" else "Secret"
    build = config_map if kind == "configMap" else secret
    source = from_objects(kind, "texts", "a")
    tenant.create(store({"db": ONE}), templated(templateFrom=[{"literal": "b: c"}, source]))
    tenant.wait_failed("app", f'templateFrom[1]: {made} "{tenant.namespace}/texts" does not exist')
    assert tenant.find("Secret", "app") is None
    tenant.create(build("texts", {"z": "x"}))
    told = tenant.wait_failed(
        "app", f'templateFrom[1] {made} "texts" key "a": there is no such key. It has "z"'
    )
    assert told is not None
    if kind == "configMap":
        tenant.edit("ConfigMap", "texts", {"data": {"a": "{{ .v }}"}})
    else:
        tenant.set_data("texts", {"a": "{{ .v }}"})
    tenant.wait_values("app", {"a": ONE, "b": "c"})
    tenant.wait_synced("app")
    tenant.delete(made, "texts")
    tenant.wait_failed("app", "does not exist")
    assert tenant.values("app") == {"a": ONE, "b": "c"}

    calls = tenant.sync_calls(operator, "app")
    tenant.create(build("texts", {"a": "{{ .v }}"}))
    tenant.wait_synced("app")
    assert tenant.sync_calls(operator, "app") == calls


def test_text_that_changed_while_nobody_looked_is_rendered_at_the_start(
    tenant: Tenant, private_operator: StartOperator
) -> None:
    tenant.create(
        store({"db": ONE}, controller="private"),
        config_map("texts", {"a": "1 {{ .v }}"}),
        templated(templateFrom=[from_objects("configMap", "texts", "a")]),
    )
    first = private_operator()
    tenant.wait_synced("app")
    first.stop()
    wait_after(tenant, tenant.get("ExternalSecret", "app")["status"]["refreshTime"])
    tenant.edit("ConfigMap", "texts", {"data": {"a": "2 {{ .v }}"}})
    private_operator()

    tenant.wait_values("app", {"a": f"2 {ONE}"})


def test_restart_renders_nothing_where_nothing_has_changed(
    tenant: Tenant, private_operator: StartOperator
) -> None:
    made = tenant.create(store({"db": ONE}, controller="private"), config_map("texts", {"a": "1 {{ .v }}"}))
    wait_after(tenant, made["metadata"]["creationTimestamp"])
    tenant.create(templated(templateFrom=[from_objects("configMap", "texts", "a")]))
    first = private_operator()
    tenant.wait_synced("app")
    first.stop()
    second = private_operator()
    tenant.wait_looks(second, "app")
    second.stop()

    assert "sync: " not in second.log


def wait_after(tenant: Tenant, time: str) -> None:
    """Wait until the API server's clock, which tells whole seconds, is past a time."""
    numbers = itertools.count()

    def is_past() -> bool:
        made = tenant.create(config_map(f"clock-{next(numbers)}"))
        return bool(made["metadata"]["creationTimestamp"] > time)

    soon(is_past)


def test_text_is_read_once_for_all_who_use_it(
    tenant: Tenant, private_operator: StartOperator, proxied_kubeconfig: Path, api_proxy: ApiProxy
) -> None:
    """And refreshes read it no more while the watch tells of no change."""
    names = [f"app-{number}" for number in range(20)]
    tenant.create(store({"db": ONE}, controller="private"), config_map("texts", {"a": "{{ .v }}"}))
    target = {"template": {"templateFrom": [from_objects("configMap", "texts", "a")]}}
    for name in names:
        tenant.create(external_secret(name, entry("v", "db"), target=target, refreshInterval="1s"))
    operator = private_operator(kubeconfig=proxied_kubeconfig)
    for name in names:
        tenant.wait_refreshes(operator, name, 3)

    asked = [one.request for one in api_proxy.requests() if one.request.resource == "configmaps"]
    assert sorted({one.verb for one in asked}) == ["get", "list", "watch"]
    assert sum(one.verb == "get" for one in asked) == 1


def test_config_maps_are_not_even_listed_where_nobody_uses_one(
    tenant: Tenant, private_operator: StartOperator, proxied_kubeconfig: Path, api_proxy: ApiProxy
) -> None:
    tenant.create(store({"db": ONE}, controller="private"), templated(data={"a": "{{ .v }}"}))
    private_operator(kubeconfig=proxied_kubeconfig)
    tenant.wait_synced("app")

    assert [one for one in api_proxy.requests() if one.request.resource == "configmaps"] == []


def test_objects_of_other_namespaces_are_out_of_reach(tenant: Tenant, operator: OperatorProcess) -> None:
    """A name is one in the own namespace: there is no field for another, and no path to it."""
    elsewhere = path_of("v1", "configmaps", namespace="default", name=tenant.namespace)
    tenant.kube.post(elsewhere.rpartition("/")[0], config_map(tenant.namespace, {"a": "x"}))
    try:
        tenant.create(store({"db": ONE}))
        for name in (tenant.namespace, f"../../default/configmaps/{tenant.namespace}"):
            made = templated(templateFrom=[from_objects("configMap", name, "a")])
            if "/" in name:
                with pytest.raises(KubeInvalid):
                    tenant.create(made)
            else:
                tenant.create(made)
        tenant.wait_failed("app", f'ConfigMap "{tenant.namespace}/{tenant.namespace}" does not exist')
    finally:
        tenant.kube.delete(elsewhere)


# -- failures


@pytest.mark.parametrize(
    ("template", "told"),
    [
        pytest.param(
            {"data": {"a": "x", "url": "db://\n{{ .pasword }}"}},
            'spec.target.template.data["url"], line 2, column 3: map has no entry for key "pasword". '
            'The keys are "db-password", "v"',
            id="a key that is missing",
        ),
        pytest.param(
            {"data": {"url": "{{ .db-password }}"}},
            "spec.target.template.data[\"url\"], line 1: bad character U+002D '-'. "
            'Read a key with a dash by index: {{ index . "db-password" }}',
            id="a dash",
        ),
        pytest.param(
            {"data": {"url": "{{ .v | b64encode }}"}},
            'spec.target.template.data["url"], line 1: function "b64encode" not defined. There is b64enc',
            id="a function",
        ),
        pytest.param(
            {"metadata": {"labels": {"v": "{{ .v }} ?"}}},
            'spec.target.template: the value of label "v" is no valid one',
            id="a label",
        ),
        pytest.param(
            {"data": {"v": "{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}"}},
            "it takes more work than",
            id="a bomb",
        ),
    ],
)
def test_failure_is_told_and_the_last_good_secret_stays(
    tenant: Tenant, operator: OperatorProcess, template: dict[str, Any], told: str
) -> None:
    entries = (entry("v", "db"), entry("db-password", "db"))
    tenant.create(store({"db": ONE}), templated(*entries, data={"v": "{{ .v }}"}))
    tenant.wait_values("app", {"v": ONE})
    version = tenant.version("Secret", "app")
    tenant.edit_spec("app", target={"template": {"data": None, **template}})

    tenant.wait_failed("app", f"could not update secret: {told}" if "spec." in told else told)
    tenant.wait_event("ExternalSecret", "app", "UpdateFailed", told[:100])
    assert tenant.version("Secret", "app") == version


def test_text_of_a_secret_is_not_quoted_in_a_failure(tenant: Tenant, operator: OperatorProcess) -> None:
    """A password that looks like a template, because somebody named the wrong key."""
    tenant.create(
        store({"db": ONE}),
        secret("texts", {"a": WITH_BRACES}),
        templated(templateFrom=[from_objects("secret", "texts", "a")]),
    )

    tenant.wait_failed(
        "app",
        'templateFrom[0] Secret "texts" key "a", line 1: bad character (not quoted: it comes from a Secret)',
    )


def test_template_that_is_forbidden_is_refused_also_where_admission_let_it_in(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """The type that makes tokens is refused by the API server's rules; here by another, the type of a Secret
    that exists."""
    tenant.create(store({"db": ONE}), external_secret("app", entry("v", "db")))
    tenant.wait_synced("app")
    tenant.edit_spec("app", target={"template": {"type": "example.com/other"}})
    tenant.wait_failed("app", 'has type "Opaque", and spec.target.template.type is "example.com/other"')
    tenant.delete("Secret", "app")

    tenant.wait_synced("app")
    assert tenant.get("Secret", "app")["type"] == "example.com/other"


@pytest.mark.restless  # a hash has another salt each time
def test_costly_templates_hold_nobody_up(tenant: Tenant, operator: OperatorProcess) -> None:
    """Hashes that take a second each, in one namespace; and another object that is synced meanwhile."""
    slow = {f"k{number}": "{{ .v | bcrypt }}" for number in range(8)}
    tenant.create(store({"db": ONE}))
    for number in range(6):
        tenant.create(templated(name=f"slow-{number}", data=slow))
    tenant.create(templated(name="quick", data={"v": "{{ .v }}"}))

    tenant.wait_values("quick", {"v": ONE}, timeout_s=15)
    for number in range(6):
        tenant.wait_synced(f"slow-{number}")
        assert all(value.startswith("$2") for value in tenant.values(f"slow-{number}").values())


# -- elsewhere


def test_rewrite_transforms_keys_by_a_template(tenant: Tenant, operator: OperatorProcess) -> None:
    step = {"transform": {"template": '{{ .value | upper | replace "-" "_" }}'}}
    tenant.create(
        store({"db": json.dumps({"user-name": "shop", "pw": ONE})}),
        external_secret("app", extract("db") | {"rewrite": [step]}),
    )

    tenant.wait_values("app", {"USER_NAME": "shop", "PW": ONE})


def test_delimiters_are_the_flags(tenant: Tenant, private_operator: StartOperator) -> None:
    tenant.create(store({"db": ONE}, controller="private"), templated(data={"a": "<< .v >>{{ .v }}"}))
    private_operator("--template-left-delimiter=<<", "--template-right-delimiter=>>")

    tenant.wait_values("app", {"a": f"{ONE}{{{{ .v }}}}"})


def test_generated_values_outlive_labels_and_are_made_anew_for_another_text(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    """They cannot be told from what a template made of them: all data stays, or all is made anew."""
    tenant.create(
        generator("Password", "pw", length=20),
        config_map("texts", {"url": "1 {{ .password }}"}),
        external_secret(
            "app",
            generated("Password", "pw"),
            store="",
            target={
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "templateFrom": [from_objects("configMap", "texts", "url")],
                }
            },
        ),
    )
    tenant.wait_synced("app")
    before = tenant.values("app")
    tenant.label("ExternalSecret", "app", {"x": "y"})
    tenant.wait_synced("app")
    tenant.label("Secret", "app", {"a": "other"})
    soon(lambda: labels(tenant.get("Secret", "app")) == {"a": "b"})
    assert tenant.values("app") == before

    tenant.edit("ConfigMap", "texts", {"data": {"url": "2 {{ .password }}"}})
    soon(lambda: tenant.values("app")["url"].startswith("2 "))
    assert tenant.values("app")["url"][2:] != before["url"][2:]
    tenant.wait_event("ExternalSecret", "app", "Generated", "a text of its template was changed")


def test_generated_value_that_passes_stays_where_it_was(tenant: Tenant, operator: OperatorProcess) -> None:
    """With mergePolicy Merge it is in the Secret as it was made: an edit of the template keeps it."""
    template = {"mergePolicy": "Merge", "data": {"url": "1 {{ .password }}"}}
    tenant.create(
        generator("Password", "pw", length=20),
        external_secret("app", generated("Password", "pw"), store="", target={"template": template}),
    )
    tenant.wait_synced("app")
    before = tenant.values("app")["password"]
    tenant.edit_spec("app", target={"template": {"data": {"url": "2 {{ .password }}"}}})

    tenant.wait_values("app", {"password": before, "url": f"2 {before}"})
