"""The command `continual`."""

import tyro

from condensery.cli.measure import about_run, figures_of, mean_of, protocol_of, say_written, warn_of_few
from condensery.cli.names import RECIPES, chosen, recipe, usual
from condensery.cli.options import ContinualOptions
from condensery.cli.parsing import parse
from condensery.cli.sources import Source, read
from condensery.cli.table import Table
from condensery.errors import InputError
from condensery.networks.convnet import ConvNet
from condensery.networks.net import described

__all__ = ["continual_command"]


def continual_command(argv: list[str]) -> int:
    net = chosen(argv) or ConvNet()
    unset = ContinualOptions(Source(tyro.MISSING), tyro.MISSING, network=described(net), net=net)
    options = parse(ContinualOptions, argv, "continual", unset)
    measuring = options.measuring
    if not options.memory:
        raise InputError(f"--memory is empty; give at least one of {', '.join(RECIPES)}")
    protocol = protocol_of(measuring, "fixed-steps")
    names = [usual(name, options.source.data) for name in dict.fromkeys(options.memory)]
    recipes = [recipe(name).having(ipc=options.ipc, net=options.net, seed=measuring.seed) for name in names]
    from condensery.applications.continual import class_incremental

    data = read(options.source)
    warn_of_few(data)
    about = about_run(data, {"recipes": [each.record() for each in recipes]})
    lines, records = [], []
    try:
        for name, memory in zip(names, recipes, strict=True):
            found = class_incremental(
                data, memory, options.stages, options.net, protocol, measuring.repeats, measuring.seed
            )
            lines.append((name, *(str(stage.accuracy) for stage in found), f"{found[-1].bytes:,}"))
            records += [
                {"memory": name, "stage": i + 1, "classes": len(stage.classes), **figures_of(stage.accuracy),
                 "floats": stage.floats, "bytes": stage.bytes}
                for i, stage in enumerate(found)
            ]  # fmt: skip
            head = ("memory", *(f"{len(stage.classes)} classes" for stage in found), "bytes")
            title = (
                f"{data.name}, {options.ipc} images per class; {mean_of(measuring.repeats)}, {described(options.net)}"
            )
            table = Table(f"{title}, protocol {found[0].accuracy.protocol}", head, lines, records)
            table.write(measuring, about)  # after every row: a kill loses no figures
    finally:
        if lines:
            table.show()
    say_written(*measuring.files)
    return 0
