"""The README of an exported set: what it is, how large, how good, where from, and how to load it."""

import json
from collections.abc import Sequence
from typing import Any

__all__ = ["card"]

_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"), (10**12, "n>1M"))


def card(about: dict[str, Any], shape: Sequence[int], soft: bool) -> str:
    """The text of a README.md with the front matter that dataset hubs read.

    Arguments:
        about: what `exports` says about the set in every format.
        shape: number, channels, height and width of the rows.
        soft: whether there is a column of soft labels.
    """
    data, stored, decoded = about["data"], about["stored"], about["decoded"]
    rows, channels, height, width = shape
    names, size = about["class_names"], next(name for most, name in _SIZES if rows < most)
    front = [
        "---",
        f"license: {json.dumps(about['license'] or 'unknown')}",
        "task_categories: [image-classification]",
        "tags: [dataset-condensation, dataset-distillation]",
        f"size_categories: ['{size}']",
        "configs:",
        "- config_name: default",
        "  data_files: [{split: train, path: data/train-*}]",
        "---",
    ]
    kept = f"- {decoded['per class']} images per class, {rows:,} in all, {height} x {width}, "
    kept += "gray" if channels == 1 else "in color"
    columns = "`image`, `label`" + (" and `soft_label` (probabilities of the classes)" if soft else "")
    told = [
        f"# {_inline(data['name'])}, condensed by {_inline(about['method'])}",
        "",
        f"{rows:,} images that stand in for the {data['rows']:,} training images of {_inline(data['name'])}: "
        "a network trained on them from scratch learns much of what the whole set would teach it. The columns are "
        f"{columns}.",
        "",
        "```python",
        "from datasets import load_dataset",
        'train = load_dataset("FOLDER_OR_OWNER/NAME", split="train")',
        "```",
        "",
        f"Normalize pixels from 0 to 1 with the mean {_numbers(about['mean'])} and the std {_numbers(about['std'])} "
        "(per channel), those of the test images too.",
        "",
        "## Size",
        "",
        kept,
        f"- The condensed set itself stores {stored['per class']} images or codes per class: {stored['floats']:,} "
        f"floats, {stored['bytes']:,} bytes. Here they are decoded: {decoded['bytes of 8 bits']:,} bytes of pixels "
        "before compression.",
        f"- {len(names)} classes: {_inline(', '.join(names))}",
        "",
        "## Accuracy",
        "",
        *_accuracies(about["accuracy"]),
        "",
        "## Where it comes from",
        "",
        f"Real data: {_inline(data['name'])}, training part, fingerprint {_inline(data['fingerprint'])}. "
        f"License of the real data: {_inline(about['license']) if about['license'] else 'not stated'}.",
        "",
        f"Written by {_inline(about['written by'])} with this recipe:",
        "",
        "```json",
        json.dumps(about["recipe"], indent=2),
        "```",
    ]
    return "\n".join([*front, "", *told]) + "\n"


def _accuracies(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return ["Not measured."]
    return [
        "Of networks trained from scratch on the stored set (before rounding to 8 bits), on the test images:",
        "",
        "| network | protocol | accuracy % | networks |",
        "| --- | --- | --- | --- |",
        *[
            f"| {_inline(_network(each['network']))} | {_inline(each['protocol'])} "
            f"| {100 * each['accuracy']:.1f} ± {100 * each['std']:.1f} | {each['n']} |"
            for each in found
        ],
    ]


def _network(record: dict[str, str]) -> str:
    """The family of a network, or its name in another package."""
    name = record.get("factory", "")
    return record.get("family", name if ":" in name else "a custom network")


def _inline(text: str) -> str:
    """Text from a user as one line without the signs that start Markdown or HTML."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in " ".join(text.split()))


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
