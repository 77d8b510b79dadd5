"""The command `continual`."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from condensery.cli.condense import stored
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
from condensery.cli.sources import Source, applied, read
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
    if not options.then and any(word == "--then" for word in argv):
        raise InputError("--then is empty; name the data sets that follow, or leave it out")
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
    options = replace(options, stages=5 if options.stages is None else options.stages, steps=options.steps or _STEPS)
    first, *then = applied([replace(options.source, data=name) for name in (options.source.data, *options.then)])
    tasks = [read(first), *(read(source, "--then") for source in then)]
    for task in tasks:
        warn_of_few(task)
    names = [task.name for task in tasks]
    tasks = [task.resized(32, 3) for task in tasks] if then else tasks
    recipes = _fitting(recipes, options, tasks)
    about = about_run(options.source, tasks[0], {
        "recipes": [each.record() for each in recipes.values()], "tasks": names, "budget": options.budget,
        **({"steps": options.steps} if then else {"stages": options.stages}), "distill": options.distill,
        "share_decoders": options.share_decoders, "repeats": measuring.repeats, "seed": measuring.seed,
        "sets": options.sets, "dtype": measuring.dtype, "fingerprints": [task.train.fingerprint for task in tasks],
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
            columns = [f"to {name}" for name in names] if then else [f"{len(stage.classes)} classes" for stage in found]
            size = per_class(ipc) if options.budget is None else f"at most {options.budget}"
            title = f"{', '.join(names)}, {size}; {mean_of(measuring.repeats, options.sets)}, {described(options.net)}"
            protocol_name = found[-1].accuracy.protocol
            table = Table(f"{title}, protocol {protocol_name}", ("memory", *columns, "bytes"), lines, records)
            table.write(measuring, about)  # after every row: a kill loses no figures
    except KeyboardInterrupt:
        left = "repeat the command to go on" if options.out else "no memory is kept without --out"
        raise KeyboardInterrupt(f"interrupted; {left}") from None
    finally:
        if lines:
            table.show()
    say_written(*measuring.files)
    return 0


def _fitting(recipes: "dict[str, Recipe]", options: ContinualOptions, tasks: "list[Data]") -> "dict[str, Recipe]":
    """The recipes, with the images per class for which every stage has room, checked before the first one runs.

    Raises:
        InputError: the share of a stage does not hold one image per class, a recipe refuses the data of a stage, or a
            folder contains another run.
    """
    from condensery.applications.continual import SHARED, stages_of
    from condensery.applications.rehearsal import check_memory, stage_folder
    from condensery.runs.run import check_folder

    assert options.stages is not None
    stages = options.stages

    def parts() -> "Iterable[Data]":
        return tasks if options.then else stages_of(tasks[0], stages)

    count = len(tasks) if options.then else max(1, stages)
    share = None if options.budget is None else byte_count(options.budget) // count
    found: dict[str, Recipe] = {}
    if options.share_decoders and not any(_shares(options, memory, next(iter(parts()))) for memory in recipes.values()):
        raise InputError("--share-decoders: none of the memories has decoders to share; leave it out, or add kfs")
    for part, (name, memory) in product(parts(), recipes.items()):
        if share is not None:
            try:
                memory = memory.within(share, part.train)
            except InputError as error:
                raise InputError(f"--budget {options.budget}, of which a stage gets 1/{count}: {error}") from error
        check_memory(memory, part.train, _shares(options, memory, part))
        if name not in found or memory.ipc < found[name].ipc:
            found[name] = memory
    for stage, part in enumerate(parts() if options.out else ()):
        for (name, memory), number in product(found.items(), range(options.sets)):
            place = stage_folder(_place(options, name, memory, number), stage)
            assert place
            altered = SHARED if stage and _shares(options, memory, part) else None
            check_folder(_seeded(memory, options, number), part.train, place, altered)
    if share is not None:
        first = next(iter(parts())).train
        for name, memory in found.items():
            log.info(f"{name}, --budget {options.budget}, first stage: {stored(memory, first)}")
    return found


def _shares(options: ContinualOptions, memory: "Recipe", data: "Data") -> bool:
    """Whether the stages of a memory share decoders: it has some, and that is wanted."""
    from condensery.decoders import Factorized

    return options.share_decoders and isinstance(memory.algorithm(data.train).synthetic.decoder, Factorized)


def _seeded(memory: "Recipe", options: ContinualOptions, number: int) -> "Recipe":
    """The recipe of a further memory, which has another seed."""
    return memory.having(seed=options.measuring.seed + number)


def _place(options: ContinualOptions, name: str, memory: "Recipe", number: int) -> Path | None:
    """The folder of a memory; as in compare, those after the first have their seed in the name."""
    plain = folder(name, memory)
    seeded = f"{plain}-{options.measuring.seed + number}" if number else plain
    return None if options.out is None else Path(options.out, seeded)


def _stages(
    options: ContinualOptions, name: str, memory: "Recipe", tasks: "list[Data]", protocol: "ProtocolFor", number: int
) -> "list[Stage]":
    """The stages with one memory: those of the classes of one data set, or one for each data set.

    Arguments:
        number: how many memories of this recipe there have been; it is added to the seeds of recipe and networks.
    """
    from condensery.applications import Distillation, class_incremental, task_incremental
    from condensery.applications.rehearsal import REHEARSAL

    measuring, recipe = options.measuring, _seeded(memory, options, number)
    repeats, seed, dtype = measuring.repeats, measuring.seed + number, dtype_of(measuring)
    out, distillation = _place(options, name, memory, number), Distillation() if options.distill else None
    assert options.stages is not None
    assert options.steps is not None
    if options.then:
        return task_incremental(
            tasks, recipe, options.net, distillation, replace(REHEARSAL, dtype=dtype), options.steps, repeats, seed,
            folder=out,
        )  # fmt: skip
    return class_incremental(
        tasks[0], recipe, options.stages, options.net, protocol, repeats, seed, distillation=distillation,
        share_decoders=_shares(options, memory, tasks[0]), folder=out, dtype=dtype,
    )  # fmt: skip
