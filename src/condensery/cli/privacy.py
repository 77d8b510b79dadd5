"""The command `privacy`."""

from statistics import fmean
from typing import TYPE_CHECKING, Any

import tyro

from condensery.cli.measure import about_run, per_class, protocol_of, say_written
from condensery.cli.names import RECIPES, chosen, presets
from condensery.cli.options import PrivacyOptions
from condensery.cli.parsing import parse
from condensery.cli.sources import Source, read
from condensery.cli.table import Table
from condensery.errors import InputError
from condensery.networks.convnet import ConvNet
from condensery.networks.net import described, record

if TYPE_CHECKING:
    from condensery.applications import Exposure

__all__ = ["privacy_command"]

_HEAD = ("method", "networks trained on", "to be told from others", "by the loss", "by the likelihood ratio")


def privacy_command(argv: list[str]) -> int:
    net = chosen(argv) or ConvNet()
    unset = PrivacyOptions(Source(tyro.MISSING), tyro.MISSING, network=described(net), net=net)
    options = parse(PrivacyOptions, argv, "privacy", unset)
    measuring = options.measuring
    if not options.methods:
        raise InputError(f"--methods is empty; give at least one of {', '.join(RECIPES)}")
    protocol = protocol_of(measuring, "fixed-steps")
    fields = {"ipc": options.ipc, "net": options.net, "seed": measuring.seed}
    recipes = presets(options.methods, options.source.data, **fields)
    from condensery.applications import membership
    from condensery.applications.privacy import check_thirds

    data = read(options.source)
    for method in recipes.values():  # refuses wrong input before the first of them is condensed
        check_thirds(data, method, measuring.seed)
    about = about_run(options.source, data, {
        "recipes": [each.record() for each in recipes.values()], "network": record(options.net),
        "protocol": measuring.protocol or "fixed-steps", "shadows": options.shadows, "repeats": measuring.repeats,
        "seed": measuring.seed,
    })  # fmt: skip
    lines, records = [], list[dict[str, Any]]()
    count = measuring.repeats
    each = f"mean and 95 % confidence interval, {count} network{'s' if count > 1 else ''}"
    title = f"{data.name}, {per_class(options.ipc)}; area under the ROC curve"
    title += f" (50 % is guessing), {each}, {described(options.net)}, protocol {measuring.protocol or 'fixed-steps'}"
    try:
        for name, method in recipes.items():
            for found in membership(
                data, method, options.net, protocol, measuring.repeats, options.shadows, seed=measuring.seed
            ):
                lines.append((name, found.trained_on, found.members, *_words(found)))
                records.append({
                    "method": name, "trained on": found.trained_on, "members": found.members, "loss": found.loss,
                    "likelihood ratio": found.ratio, "loss half width": found.half_widths[0],
                    "likelihood ratio half width": found.half_widths[1], "images": found.images,
                })  # fmt: skip
            table = Table(title, _HEAD, lines, records)
            table.write(measuring, about)  # after every method: a kill loses no figures
    finally:
        if lines:
            Table(title, _HEAD, lines, records).show()
    say_written(*measuring.files)
    return 0


def _words(found: "Exposure") -> list[str]:
    """The areas in percent, each with its 95 % confidence interval."""
    pairs = zip((found.loss, found.ratio), found.half_widths, strict=True)
    return [f"{100 * fmean(areas):.1f} ± {100 * half:.1f}" for areas, half in pairs]
