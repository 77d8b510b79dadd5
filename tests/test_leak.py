"""Condensing never sees the test part: another test part changes no byte of a condensed set."""

from dataclasses import replace

import pytest
import torch
from conftest import blobs
from lists import RECIPES, over

from condensery.data import Data, TestSet
from condensery.runs.artifact import save
from condensery.runs.run import run


def with_test_part(images, labels):
    real = blobs(sizes=(9, 8, 7))
    return Data("blobs", real, TestSet(images, labels, real.space, real.dtype, real.device), ("a", "b", "c"))


@over({name: RECIPES[name] for name in ("random", "forgetting", "idc 2", "mdc of kfs")})
def test_another_test_part_changes_no_byte_of_the_set(part, tmp_path):
    real = blobs(sizes=(9, 8, 7))
    parts = {
        "first": (real.images, real.labels),
        "second": (1 - real.images[:4], torch.tensor([2, 2, 1, 0])),
    }
    made = {}
    for name, (images, labels) in parts.items():
        data, out = with_test_part(images, labels), tmp_path / name
        condensed = run(part, data, out, progress=False)
        made[name] = save(condensed, tmp_path / f"{name}.safetensors").read_bytes()
        assert (out / "condensed.safetensors").read_bytes() == made[name]
    assert made["first"] == made["second"]


@pytest.mark.parametrize("flip", [True, False])
def test_a_validation_part_keeps_the_facts_of_its_data(flip):
    data = with_test_part(blobs().images, blobs().labels).having(flip=flip)
    assert data.validation(0.3).facts == data.facts == replace(data.facts, flip=flip)
