"""One side of a comparison in a process of its own: told cases on stdin, it answers with what they took.

    python benchmarks/worker.py '{"side": "ours", "shape": [3, 32, 32], "ipc": 10}'

After "ready", a line in, `dc`, say; a line out: {"ms": ..., "added": bytes that the process grew by at its peak, from
freed memory handed back}.
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
