"""The estimate of `condensery plan` for a command, or what its run takes, as one line of JSON.

python benchmarks/planned.py plan|run RECIPE --data D --ipc N ...
"""

import json
import sys
import tempfile
import time

import tyro

from condensery.cli.names import recipe
from condensery.cli.options import PlanOptions, fielded
from condensery.cli.parsing import parse
from condensery.cli.sources import Source, read
from condensery.kernels.memory import peak
from condensery.networks.net import described
from condensery.recipes import Recipe
from condensery.runs.planning import plan
from condensery.runs.run import run


def main() -> None:
    what, name, *words = sys.argv[1:]
    preset = recipe(name)
    unset: PlanOptions[Recipe] = PlanOptions(Source(tyro.MISSING), described(preset.net), preset)
    options = parse(PlanOptions[fielded(preset)], words, f"plan {name}", unset)  # type: ignore[misc]
    data = read(options.source)
    if what == "plan":
        planned = plan(options.recipe, data.train)
        said = {"seconds": planned.seconds, "memory": planned.memory, "computing": planned.computing}
    else:
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            run(options.recipe, data, f"{out}/run", progress=False)
            said = {"seconds": time.perf_counter() - start, "memory": peak()}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
