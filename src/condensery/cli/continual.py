"""The command `continual`."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from condensery.cli.measure import about_run, figures_of, mean_of, per_class, protocol_of, say_written, warn_of_few
from condensery.cli.names import RECIPES, chosen, folder, presets
from condensery.cli.options import ContinualOptions
from condensery.cli.parsing import parse
from condensery.cli.sources import Source, applicable, read
from condensery.cli.table import Table
from condensery.errors import InputError
from condensery.networks.convnet import ConvNet
from condensery.networks.net import described

if TYPE_CHECKING:
    from condensery.applications import Stage
    from condensery.data import Data
    from condensery.evaluation.protocols import ProtocolFor
    from condensery.recipes import Recipe

__all__ = ["continual_command"]

_STEPS = (5000, 500)  # as in DC


def continual_command(argv: list[str]) -> int:
    net = chosen(argv) or ConvNet()
    unset = ContinualOptions(Source(tyro.MISSING), tyro.MISSING, network=described(net), net=net)
    options = parse(ContinualOptions, argv, "continual", unset)
    measuring = options.measuring
    if not options.memory:
        raise InputError(f"--memory is empty; give at least one of {', '.join(RECIPES)}")
    protocol = protocol_of(measuring, "fixed-steps")
    fields = {"ipc": options.ipc, "net": options.net, "seed": measuring.seed}
    recipes = presets(options.memory, options.source.data, **fields)
    if options.then and measuring.protocol:
        raise InputError("--protocol is for networks that are trained on the memory alone; leave it out with --then")
    if options.then and options.stages is not None:
        raise InputError("--stages is for the classes of one data set, and --then for whole data sets; leave one out")
    if options.then and options.share_decoders:
        raise InputError("--share-decoders is for the classes of one data set; leave it out with --then")
    if options.steps and not options.then:
        raise InputError("--steps is for whole data sets, with --then; leave it out")
    data = read(applicable(options.source) if options.then else options.source)
    later = [read(applicable(replace(options.source, data=name)), "--then") for name in options.then]
    warn_of_few(data)
    from condensery.applications.continual import check_stages
    from condensery.applications.rehearsal import check_memory

    tasks = [each.resized(32, 3) for each in (data, *later)] if later else [data]
    stages = 5 if options.stages is None else options.stages
    for memory, task in product(recipes.values(), tasks):  # before the first of them is condensed
        if later:
            check_memory(memory, task.train)
        else:
            check_stages(task, memory, stages, options.share_decoders)
    how = {"then": options.then, "steps": options.steps or _STEPS} if later else {"stages": stages}
    about = about_run(options.source, data, {
        "recipes": [each.record() for each in recipes.values()], **how, "distill": options.distill,
        "share_decoders": options.share_decoders, "repeats": measuring.repeats, "seed": measuring.seed,
        "fingerprints": [each.train.fingerprint for each in (data, *later)],
    })  # fmt: skip
    lines, records = [], []
    try:
        for name, memory in recipes.items():
            place = None if options.out is None else Path(options.out, folder(name, memory))
            found = _stages(options, memory, tasks, protocol, place)
            lines.append((name, *(str(stage.accuracy) for stage in found), f"{found[-1].bytes:,}"))
            records += [
                {"memory": name, "stage": i + 1, "classes": len(stage.classes), **figures_of(stage.accuracy),
                 "floats": stage.floats, "bytes": stage.bytes}
                for i, stage in enumerate(found)
            ]  # fmt: skip
            columns = [f"to {each.name}" for each in (data, *later)]
            if not later:
                columns = [f"{len(stage.classes)} classes" for stage in found]
            title = f"{', '.join(each.name for each in (data, *later))}, {per_class(options.ipc)}"
            title = f"{title}; {mean_of(measuring.repeats)}, {described(options.net)}"
            protocol_name = found[-1].accuracy.protocol
            table = Table(f"{title}, protocol {protocol_name}", ("memory", *columns, "bytes"), lines, records)
            table.write(measuring, about)  # after every row: a kill loses no figures
    finally:
        if lines:
            table.show()
    say_written(*measuring.files)
    return 0


def _stages(
    options: ContinualOptions, memory: "Recipe", tasks: "list[Data]", protocol: "ProtocolFor", out: Path | None
) -> "list[Stage]":
    """The stages with one recipe as memory: those of the classes of one data set, or one for each data set."""
    from condensery.applications import Distillation, class_incremental, task_incremental

    repeats, seed, distillation = options.measuring.repeats, options.measuring.seed, None
    if options.distill:
        distillation = Distillation()
    if options.then:
        return task_incremental(
            tasks, memory, options.net, distillation, steps=options.steps or _STEPS, repeats=repeats, seed=seed,
            folder=out,
        )  # fmt: skip
    stages = 5 if options.stages is None else options.stages
    return class_incremental(
        tasks[0], memory, stages, options.net, protocol, repeats, seed, distillation=distillation,
        share_decoders=options.share_decoders, folder=out,
    )  # fmt: skip
