"""What an hour of a GPU should run, most valuable first: the papers' own schedules, at `gpu` scale.

    python experiments/gpu.py                                   # lists the commands
    python experiments/gpu.py --run --data-dir DIR [--minutes 60]

Commands are run in this order, and stopped at the limit. Each one resumes: cells that are in its results file are
skipped, and a run that was stopped goes on from its last checkpoint. Data that are not at hand are left out.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = (
    ("idc_table10.py --data FashionMNIST --ipc 1 --methods idc", "IDC at 1 image, in the paper ten points above DSA"),
    ("idc_table10.py --data MNIST --ipc 1 --methods idc", "the same on MNIST"),
    ("idc_table10.py --data FashionMNIST MNIST --ipc 1", "the rest of the table at 1 image, and KFS"),
    ("idc_table10.py --data FashionMNIST MNIST --ipc 10", "... at 10 images"),
    ("dc_table1.py --data MNIST FashionMNIST --ipc 1 10 --methods dc", "DC with 1000 restarts"),
    ("kfs_tables1and2.py --data FashionMNIST MNIST", "KFS with 20,000 steps, and in ResNet-10 and DenseNet-121"),
    ("dc_table1.py --data MNIST FashionMNIST", "coresets, and the whole sets"),
    ("dc_table2.py", "DC in other architectures"),
    ("dc_table11.py", "gradient distances, with ResNet-18"),
    ("idc_tables6to14.py --data FashionMNIST FashionMNIST-zca", "IDC's ablations"),
    ("color.py --data cifar10-jpeg", "colored images, with the papers' schedules"),
    ("imagenette.py", "photographs of 128 pixels, with IDC's recipe for ImageNet-10"),
    ("idc_tables1to4.py --data FashionMNIST", "IDC in ResNet-10 and DenseNet-121"),
    ("dc_tables6to10.py", "DC across activations, poolings, norms, depths and widths"),
    ("dc_table12.py --data MNIST FashionMNIST --ipc 1", "1000 random sets"),
    ("dc_table1.py --data CIFAR10 SVHN", "DC on the papers' colored images, if there is a copy"),
    ("kfs_tables1and2.py --data CIFAR10 SVHN", "KFS on them"),
    ("idc_tables1to4.py --data CIFAR10 ImageNet10", "IDC on them, and on ImageNet-10"),
    ("idc_tables6to14.py --data CIFAR10 CIFAR10-zca", "IDC's ablations on CIFAR-10"),
)
"""Programs of this folder with their options, and what they are for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run the commands; by default they are only listed")
    parser.add_argument("--minutes", type=float, default=60, help="with --run: stop after so long")
    parser.add_argument("--data-dir", type=Path, help="with --run: see the programs")
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes
    for words, purpose in COMMANDS:
        print(f"python experiments/{words} --scale gpu    # {purpose}", flush=True)
        if given.run and not ran(words.split(), given.data_dir, end - time.monotonic()):
            print(f"stopped after {given.minutes:g} minutes; the same command goes on from here", flush=True)
            return


def ran(words: list[str], folder: Path | None, seconds: float) -> bool:
    """Run a program at `gpu` scale; says whether it ended in time, otherwise it is stopped."""
    program, *options = words
    where = [] if folder is None else ["--data-dir", str(folder.resolve())]
    command = [sys.executable, str(Path(__file__).with_name(program)), *options, *where, "--scale", "gpu"]
    try:
        ended = subprocess.run(command, timeout=max(0.0, seconds), check=False)
    except subprocess.TimeoutExpired:
        return False
    if ended.returncode:
        print(f"{program} ended with status {ended.returncode}; see above. Going on with the next command", flush=True)
    return True


if __name__ == "__main__":
    main()
