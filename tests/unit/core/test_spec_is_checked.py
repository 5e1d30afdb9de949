"""What contradicts itself is refused again here, for objects older than the schema's rules."""

from __future__ import annotations

import pytest

from keyferry.core.sources import check_policies
from keyferry.errors import SpecError


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
