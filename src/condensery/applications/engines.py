"""Engines, which spread independent jobs over processes of this machine, or over a Ray cluster."""

import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

import torch

from condensery.errors import InputError, RunError
from condensery.fields import whole_number

__all__ = ["ENGINES", "Engine", "check_ray", "local", "on_ray", "processes"]

Shared = TypeVar("Shared")
Job = TypeVar("Job")
Result = TypeVar("Result")


class Engine(Protocol):
    """A way to compute `function(shared, job)` for every job, each in a process with one thread.

    Since every job has one thread, its result is the same by every engine and with any number of workers.
    """

    def __call__(
        self,
        function: Callable[[Shared, Job], Result],
        shared: Shared,
        jobs: Sequence[Job],
        workers: int | None = None,
    ) -> Iterator[tuple[Job, Result]]:
        """Yield each job with its result, in the order in which they finish.

        Arguments:
            function: computes a job; `shared` and the job are copied to its process.
            shared: what all jobs read, such as the data.
            jobs: the jobs, each of which must be hashable.
            workers: number of processes. None: one per core.

        Raises:
            InputError: there are fewer than 1 workers, or the engine is not installed.
            RunError: a process was killed (and, on Ray, killed again whenever its job was repeated).
        """
        ...


def local(
    function: Callable[[Shared, Job], Result], shared: Shared, jobs: Sequence[Job], workers: int | None = None
) -> Iterator[tuple[Job, Result]]:
    """Processes of this machine, by joblib."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    parallel = Parallel(processes(workers), return_as="generator_unordered", pre_dispatch="n_jobs", max_nbytes=None)
    try:
        # a job that comes back from a process may be another object, which is not equal if it contains a function
        for i, result in parallel(delayed(_numbered)(i, function, shared, job) for i, job in enumerate(jobs)):
            yield jobs[i], result
    except TerminatedWorkerError as error:
        raise RunError(
            "a process was killed, perhaps because memory ran out; repeat with fewer `workers`, and finished trials "
            "are kept if there is a folder for them"
        ) from error


def on_ray(
    function: Callable[[Shared, Job], Result], shared: Shared, jobs: Sequence[Job], workers: int | None = None
) -> Iterator[tuple[Job, Result]]:
    """Ray: the cluster that the environment variable RAY_ADDRESS names, or else processes of this machine.

    A job whose process is killed is computed again, up to three times.
    """
    check_ray()
    import ray

    ours = not ray.is_initialized()
    if ours:
        ray.init(**_beginning(processes(workers)))
    try:
        there = ray.put(shared)
        task: Any = ray.remote(max_retries=3)(_alone)
        waiting = {task.remote(function, there, job): job for job in jobs}
        while waiting:
            done, _ = ray.wait(list(waiting))
            yield waiting.pop(done[0]), ray.get(done[0])
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.WorkerCrashedError as error:
        raise RunError("a process on Ray was killed again and again, perhaps because memory ran out") from error
    finally:
        if ours:
            ray.shutdown()


def check_ray() -> None:
    """Check that Ray is installed, and that the cluster that RAY_ADDRESS names, if any, can be reached.

    Raises:
        InputError: one of these fails.
    """
    if find_spec("ray") is None:
        raise InputError("Ray is not installed; install condensery[ray], or choose the engine 'local'")
    address = os.environ.get("RAY_ADDRESS", "")
    if place := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):
        try:
            socket.create_connection((place[1], int(place[2])), timeout=10).close()
        except (OSError, OverflowError) as error:  # Ray itself would try for minutes
            raise InputError(f"RAY_ADDRESS={address}: no Ray cluster can be reached there ({error})") from error


ENGINES: dict[str, Engine] = {"local": local, "ray": on_ray}
"""The engines by name."""


def _beginning(workers: int) -> dict[str, Any]:
    """The arguments of `ray.init`: this many processes of this machine, or a cluster, which has its own."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if os.environ.get("RAY_ADDRESS"):
        return quiet
    return {**quiet, "num_cpus": workers, "include_dashboard": False}


def processes(workers: int | None) -> int:
    """The number of processes.

    Raises:
        InputError: it is below 1.
    """
    if workers is None:
        from joblib import cpu_count

        return int(cpu_count())
    whole_number("workers", workers, 1)
    return workers


def _alone(function: Callable[[Shared, Job], Result], shared: Shared, job: Job) -> Result:
    """The result of a job, computed by one thread."""
    threads = torch.get_num_threads()  # of this process too, if there is one worker: then joblib starts none
    torch.set_num_threads(1)
    try:
        return function(shared, job)
    finally:
        torch.set_num_threads(threads)


def _numbered(i: int, function: Callable[[Shared, Job], Result], shared: Shared, job: Job) -> tuple[int, Result]:
    return i, _alone(function, shared, job)
