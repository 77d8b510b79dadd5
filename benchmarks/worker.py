"""One side of a comparison in its own process: it reads cases from stdin and prints what they took.

    python benchmarks/worker.py '{"side": "ours", "shape": [3, 32, 32], "ipc": 10}'

The argument gives the side (baseline or ours), the shape and the images per class of the cases, and optionally classes,
width, mode, dtype and tuned. After "ready", every input line, for example `dc`, gives an output line
{"ms": ..., "added": ...}: milliseconds, and the peak growth of the process in bytes. Before `dc:memory`, say, freed
memory is returned, so that the growth is that of this step.
"""

import ctypes
import gc
import json
import sys
import time


def main() -> None:
    options = json.loads(sys.argv[1])
    if options.get("tuned"):
        from condensery.kernels.memory import tune_allocator

        tune_allocator()
    shape, ipc = tuple(options["shape"]), options["ipc"]
    sizes = {name: options[name] for name in ("classes", "width") if name in options}
    if options["side"] == "baseline":
        import baseline

        cases = baseline.cases(shape, ipc, **sizes)
    else:
        import ours

        from condensery.kernels.compiling import torch_dtype

        cases = ours.cases(shape, ipc, dtype=torch_dtype(options.get("dtype")), **sizes)

    from condensery.kernels.compiling import during
    from condensery.kernels.memory import forget_peak, peak, resident

    with during(options.get("mode", "plain")):
        print("ready", flush=True)
        for line in sys.stdin:
            name, _, measure = line.strip().partition(":")
            if measure:
                gc.collect()
                ctypes.CDLL(None).malloc_trim(0)
            before = resident()
            forget_peak()
            start = time.perf_counter()
            cases[name]()
            seconds = time.perf_counter() - start
            print(json.dumps({"ms": 1000 * seconds, "added": peak() - before}), flush=True)


if __name__ == "__main__":
    main()
