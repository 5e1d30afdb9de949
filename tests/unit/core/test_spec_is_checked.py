"""What the API has and we do not do yet is told by name; what contradicts itself is refused again here."""

from __future__ import annotations

import pytest

from keyferry.core.sources import check_available, check_policies
from keyferry.errors import ON_CHANGE, NotAvailableError, SpecError

REMOTE = {"key": "db"}
REGEXP = {"regexp": {"source": "a", "target": "b"}}
TRANSFORM = {"transform": {"template": "{{ .value }}"}}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"target": {"template": {}}}, "spec.target.template is"),
        (
            {"dataFrom": [{"find": {}}, {"extract": REMOTE, "rewrite": [REGEXP, TRANSFORM]}]},
            "spec.dataFrom[1].rewrite[1].transform is",
        ),
        (
            {"target": {"template": {}}, "dataFrom": [{"find": {}, "rewrite": [TRANSFORM]}]},
            "spec.target.template, spec.dataFrom[0].rewrite[0].transform are",
        ),
    ],
)
def test_field_that_is_not_done_yet_is_named(spec, fields, named):
    with pytest.raises(NotAvailableError) as caught:
        check_available(spec(**fields))

    assert caught.value.message == f"{named} not available yet in this version of Keyferry"
    assert caught.value.retry == ON_CHANGE


def test_all_that_is_done_passes(spec):
    own = {"storeRef": {"name": "other"}}
    check_available(
        spec(
            target={"name": "t", "immutable": True, "creationPolicy": "Merge"},
            refreshPolicy="OnChange",
            data=[
                {"secretKey": "a", "remoteRef": REMOTE},
                {"secretKey": "b", "remoteRef": REMOTE, "sourceRef": own},
            ],
            dataFrom=[{"extract": REMOTE}, {"extract": REMOTE, "sourceRef": own, "rewrite": []}],
        )
    )


@pytest.mark.parametrize("deletion", ["Retain", "Delete", "Merge"])
@pytest.mark.parametrize("creation", ["Owner", "Orphan", "Merge", "CreateOrMerge", "None"])
def test_policies_may_not_contradict_each_other(spec, creation, deletion):
    built = spec(target={"creationPolicy": creation, "deletionPolicy": deletion})
    refused = (deletion == "Delete" and creation in ("Merge", "CreateOrMerge", "None")) or (
        deletion == "Merge" and creation == "None"
    )
    try:
        check_policies(built)
    except SpecError as error:
        text = str(error)
    else:
        text = ""

    assert bool(text) is refused
    if refused:
        assert text == (
            "deletionPolicy=Delete must not be used when the controller doesn't own the secret. "
            "Please set creationPolicy=Owner"
            if deletion == "Delete"
            else "deletionPolicy=Merge must not be used with creationPolicy=None. There is no Secret to merge with"
        )
