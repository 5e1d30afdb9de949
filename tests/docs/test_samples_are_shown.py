"""A block that says which sample it is holds that sample, to the letter."""

from __future__ import annotations

import pytest

from .markdown import ROOT, SAMPLES, blocks, pages

SHOWN = [block for page in pages() for block in blocks(page, "yaml") if "sample" in block.marks]


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.place)
def test_block_is_its_sample(block):
    assert (ROOT / block.marks["sample"]).read_text("utf-8") == block.text


def test_readme_shows_a_sample():
    assert ROOT / "README.md" in [block.page for block in SHOWN]


def test_every_sample_is_told_of():
    text = (ROOT / "deploy/README.md").read_text("utf-8")

    assert [] == [sample.name for sample in SAMPLES if f"samples/{sample.name}" not in text]
