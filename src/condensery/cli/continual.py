"""The command `continual`."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from condensery.cli.measure import (
    about_run,
    dtype_of,
    figures_of,
    mean_of,
    per_class,
    protocol_of,
    say_written,
    warn_of_few,
)
from condensery.cli.names import RECIPES, chosen, folder, presets
from condensery.cli.options import ContinualOptions
from condensery.cli.parsing import parse
from condensery.cli.sources import Source, applicable, read
from condensery.cli.table import Table
from condensery.errors import InputError
from condensery.fields import byte_count
from condensery.networks.convnet import ConvNet
from condensery.networks.net import described

if TYPE_CHECKING:
    from condensery.applications import Stage
    from condensery.data import Data
    from condensery.evaluation.protocols import ProtocolFor
    from condensery.recipes import Recipe

__all__ = ["continual_command"]

log = logging.getLogger("condensery")

_STEPS = (5000, 500)  # as in DC


def continual_command(argv: list[str]) -> int:
    net = chosen(argv) or ConvNet()
    unset = ContinualOptions(Source(tyro.MISSING), tyro.MISSING, network=described(net), net=net)
    options = parse(ContinualOptions, argv, "continual", unset)
    measuring = options.measuring
    if not options.memory:
        raise InputError(f"--memory is empty; give at least one of {', '.join(RECIPES)}")
    if not 1 <= options.sets <= 1000:
        raise InputError(f"--sets must be at least 1 and at most 1000, got {options.sets}")
    if options.ipc is not None and options.budget is not None:
        raise InputError("--budget and --ipc both say how much is stored; give one of them")
    protocol = protocol_of(measuring, "fixed-steps")
    ipc = 10 if options.ipc is None else options.ipc
    fields = {"ipc": ipc} if options.budget is None else {}
    recipes = presets(options.memory, options.source.data, net=options.net, seed=measuring.seed, **fields)
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
    tasks = [each.resized(32, 3) for each in (data, *later)] if later else [data]
    stages = 5 if options.stages is None else options.stages
    recipes = _fitting(recipes, options, tasks, stages)
    how = {"then": options.then, "steps": options.steps or _STEPS} if later else {"stages": stages}
    about = about_run(options.source, data, {
        "recipes": [each.record() for each in recipes.values()], **how, "distill": options.distill,
        "share_decoders": options.share_decoders, "repeats": measuring.repeats, "seed": measuring.seed,
        "sets": options.sets,
        "fingerprints": [each.train.fingerprint for each in (data, *later)],
    })  # fmt: skip
    from condensery.applications import Stage

    lines, records = [], []
    try:
        for name, memory in recipes.items():
            found = Stage.of_sets([_stages(options, name, memory, tasks, protocol, i) for i in range(options.sets)])
            lines.append((name, *(str(stage.accuracy) for stage in found), f"{found[-1].bytes:,}"))
            records += [
                {"memory": name, "stage": i + 1, "classes": len(stage.classes), **figures_of(stage.accuracy),
                 "floats": stage.floats, "bytes": stage.bytes}
                for i, stage in enumerate(found)
            ]  # fmt: skip
            columns = [f"to {each.name}" for each in (data, *later)]
            if not later:
                columns = [f"{len(stage.classes)} classes" for stage in found]
            size = per_class(ipc) if options.budget is None else f"at most {options.budget}"
            title = f"{', '.join(each.name for each in (data, *later))}, {size}"
            title = f"{title}; {mean_of(measuring.repeats, options.sets)}, {described(options.net)}"
            protocol_name = found[-1].accuracy.protocol
            table = Table(f"{title}, protocol {protocol_name}", ("memory", *columns, "bytes"), lines, records)
            table.write(measuring, about)  # after every row: a kill loses no figures
    finally:
        if lines:
            table.show()
    say_written(*measuring.files)
    return 0


def _fitting(
    recipes: "dict[str, Recipe]", options: ContinualOptions, tasks: "list[Data]", stages: int
) -> "dict[str, Recipe]":
    """The recipes, with the images per class for which every stage has room, checked before the first one runs.

    Raises:
        InputError: the share of a stage does not hold one image per class, or a recipe refuses the data of a stage.
    """
    from condensery.applications.continual import stages_of
    from condensery.applications.rehearsal import check_memory

    found: dict[str, Recipe] = {}
    count = len(tasks) if options.then else stages
    for part in tasks if options.then else stages_of(tasks[0], stages):
        for name, memory in recipes.items():
            if options.budget is not None:
                try:
                    memory = memory.within(byte_count(options.budget) // count, part.train)
                except InputError as error:
                    raise InputError(f"--budget {options.budget}, of which a stage gets 1/{count}: {error}") from error
            check_memory(memory, part.train, options.share_decoders)
            if name not in found or memory.ipc < found[name].ipc:
                found[name] = memory
    if options.budget is not None:
        for name, memory in found.items():
            log.info(f"{name}, --budget {options.budget}: --ipc {memory.ipc}")
    return found


def _stages(
    options: ContinualOptions, name: str, memory: "Recipe", tasks: "list[Data]", protocol: "ProtocolFor", number: int
) -> "list[Stage]":
    """The stages with one memory: those of the classes of one data set, or one for each data set.

    Arguments:
        number: how many memories of this recipe there have been; it is added to the seeds of recipe and networks.
    """
    from condensery.applications import Distillation, class_incremental, task_incremental
    from condensery.applications.rehearsal import REHEARSAL

    measuring = options.measuring
    repeats, seed, distillation = measuring.repeats, measuring.seed + number, None
    dtype, recipe = dtype_of(measuring), memory.having(seed=seed)
    plain = folder(name, memory)  # as in compare, memories after the first have their seed in the name
    out = None if options.out is None else Path(options.out, f"{plain}-{seed}" if number else plain)
    if options.distill:
        distillation = Distillation()
    if options.then:
        return task_incremental(
            tasks, recipe, options.net, distillation, replace(REHEARSAL, dtype=dtype), options.steps or _STEPS, repeats,
            seed, folder=out,
        )  # fmt: skip
    stages = 5 if options.stages is None else options.stages
    return class_incremental(
        tasks[0], recipe, stages, options.net, protocol, repeats, seed, distillation=distillation,
        share_decoders=options.share_decoders, folder=out, dtype=dtype,
    )  # fmt: skip
