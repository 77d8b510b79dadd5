"""Architecture search: networks are ranked by training them on a small proxy in place of the whole training part."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from math import ceil, prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from condensery.applications.candidates import Candidate
from condensery.applications.engines import ENGINES, Engine, check_ray, processes
from condensery.applications.trials import Trials, trials_in
from condensery.console import counted
from condensery.data import Data
from condensery.errors import InputError, look_up
from condensery.evaluation import protocols
from condensery.evaluation.evaluate import evaluate, evaluate_whole, from_library
from condensery.evaluation.protocols import Protocol, ProtocolFor
from condensery.fields import whole_number
from condensery.networks.names import named
from condensery.networks.net import Architecture, Factory, Net, build, record
from condensery.networks.packages import Packaged
from condensery.recipes import Recipe
from condensery.runs.checkpoint import environment
from condensery.runs.condensed import Condensed
from condensery.runs.run import check_folder, made
from condensery.runs.storage import code, tensor_file

__all__ = ["EarlyStopping", "Ranking", "architecture_search"]

log = logging.getLogger("condensery")


@dataclass(frozen=True)
class EarlyStopping:
    """A proxy that stores nothing: networks see the whole training part, for as many steps as on the first set.

    A step has as many rows as steps on the set have on average, so that it costs as much.
    """


@dataclass(frozen=True)
class Ranking:
    """How well a proxy ranks networks.

    Arguments:
        proxy: its name, or "whole" for the whole training part, whose best network is known only by the test part.
        accuracies: of every network that was trained on the proxy, on held-out training rows; of those trained on the
            whole training part, on the test part.
        best: the network with the highest of these accuracies.
        performance: its accuracy on the test part when it is trained on the whole training part.
        top: rank correlation (Spearman's) between accuracies by the proxy and by the whole training part, over the
            networks that the proxy ranks highest. None: it is not defined, or the other networks were not trained.
        spearman, kendall: the same over all networks, by Spearman and by Kendall.
        floats, bytes: what the proxy stores; for early stopping, the training part without the tenth that is held out.
        seconds: of training and testing all networks on the proxy, by one thread.
    """

    proxy: str
    accuracies: Mapping[Candidate, float]
    best: Candidate
    performance: float
    top: float | None
    spearman: float | None
    kendall: float | None
    floats: int
    bytes: int
    seconds: float


class _Job(NamedTuple):
    """A network to be trained on a proxy; the proxy None is the whole training part."""

    proxy: str | None
    candidate: Candidate

    @property
    def net(self) -> Net | Factory:
        """The architecture."""
        net = self.candidate.net
        return named(net) if isinstance(net, str) else net


@dataclass(frozen=True)
class _Shared:
    """What the processes of all jobs read.

    Arguments:
        data: the data set; its test part is read by networks that are trained on its whole training part.
        fold: its training part alone, divided into a training and a test part.
        sets: the condensed sets by proxy; early stopping has none.
        protocol, reference: how networks are trained on a proxy, and on the whole training part.
        repeats, seed, dtype: see `evaluate`.
    """

    data: Data
    fold: Data
    sets: Mapping[str, Condensed]
    protocol: ProtocolFor | str
    reference: ProtocolFor | str
    repeats: int
    seed: int
    dtype: torch.dtype | None


def architecture_search(
    data: Data,
    proxies: Mapping[str, Recipe | Condensed | EarlyStopping],
    nets: Sequence[Architecture | Candidate],
    protocol: ProtocolFor | str = protocols.fixed_steps,
    reference: ProtocolFor | str = protocols.whole,
    whole: bool = True,
    top: int = 10,
    repeats: int = 1,
    seed: int = 0,
    engine: Engine | str = "local",
    workers: int | None = None,
    folder: str | Path | None = None,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> list[Ranking]:
    """Find the best of several networks on small proxies of the data, and say how well each proxy ranks them.

    A tenth of the training part is held out: recipes condense the rest, and networks that were trained on a proxy are
    measured on that tenth. The test part is read only by networks that are trained on the whole training part, and no
    network is chosen by it.

    Arguments:
        data: the data set.
        proxies: by name, a recipe, a condensed set or `EarlyStopping()`. A condensed set should come from
            `data.validation().train`; otherwise it may contain something of the rows on which networks are measured.
        nets: the networks, such as `dc_grid()`, `small_grid()` or names; or, with settings for training them, a list of
            `Candidate`, such as `settings(20)`.
        protocol: how networks are trained on a proxy.
        reference: how networks are trained on the whole training part.
        whole: whether all networks are trained on the whole training part, which rank correlations need. If not, only
            the best network of each proxy is.
        top: over how many of its best networks the correlation `Ranking.top` is taken.
        repeats: number of trainings per network and proxy; their mean counts.
        seed: seed of weights and of the order of rows.
        engine: "local" (processes of this machine), "ray" (extra `condensery[ray]`), or an `Engine`.
        workers: number of processes. None: one per core.
        folder: folder in which sets and finished trials are kept; the same call again goes on from there. Trials of
            networks that are not the library's are not kept, since nothing tells whether they have changed.
        dtype: number format of the rows while networks are trained; see `evaluate`.
        progress: whether to show progress.

    Returns:
        A `Ranking` for every proxy, and if `whole`, last, one for the whole training part.

    Raises:
        InputError: no proxies, fewer than two networks, two equal networks, a network or a recipe that does not suit
            the data, or a number out of range; the folder has other files or is in use by another process; or Ray is
            not installed or not reachable.
        RunError: a process was killed.

    References:
        DC section 3.2, table 4 and appendix A (720 ConvNets on CIFAR-10, 10 images per class, correlation over the 10
        best).
    Departs: DC correlates validation accuracies on both sides. Here, networks that are trained on the whole training
        part learn the held-out tenth, too, and are measured on the test part.
    """
    several = _several(nets, data)
    for argument, value, least in (("top", top, 2), ("repeats", repeats, 1), ("seed", seed, 0)):
        whole_number(argument, value, least)
    workers = processes(workers)
    spread = look_up(ENGINES, engine, "engine") if isinstance(engine, str) else engine
    if engine == "ray":
        check_ray()
    fold, out = data.validation(), None if folder is None else Path(folder)
    _check(proxies, data, fold, out)
    with nullcontext(Trials()) if out is None else trials_in(out) as trials:
        sets = {
            name: _condensed(proxy, fold, out and _folder(out, name), progress)
            for name, proxy in proxies.items()
            if not isinstance(proxy, EarlyStopping)
        }
        identities = {name: _identity(made) for name, made in sets.items()}
        shared = _Shared(data, fold, sets, protocol, reference, repeats, seed, dtype)

        def measure(jobs: list[_Job], where: str) -> dict[_Job, dict[str, float]]:
            keys = {job: _key(job, identities, shared) for job in jobs}
            lasting = {job for job in jobs if from_library(job.net, _rules(job, shared))}
            left = [job for job in jobs if keys[job] not in trials]
            with counted(f"trials on {where} done") if progress else nullcontext(lambda done, total: None) as tell:
                for done, (job, result) in enumerate(spread(_measured, shared, left, workers) if left else (), 1):
                    trials.add(keys[job], result, job in lasting)
                    tell(len(jobs) - len(left) + done, len(jobs))
            return {job: trials[key] for job, key in keys.items()}

        small = measure([_Job(name, net) for name in proxies for net in several], "proxies")
        best = {name: max(several, key=lambda net: small[_Job(name, net)]["accuracy"]) for name in proxies}
        chosen_nets = several if whole else dict.fromkeys(best.values())
        large = measure([_Job(None, net) for net in chosen_nets], "the whole set")
    known = {net: result["accuracy"] for (_, net), result in large.items()}
    rankings = []
    for name in proxies:
        by_proxy = {net: small[_Job(name, net)]["accuracy"] for net in several}
        correlations = _correlations(by_proxy, known, top) if whole else (None, None, None)
        seconds = sum(small[_Job(name, net)]["seconds"] for net in several)
        chosen, size = best[name], _size(sets.get(name), fold)
        rankings.append(Ranking(name, by_proxy, chosen, known[chosen], *correlations, *size, seconds))
    if whole:
        seconds = sum(result["seconds"] for result in large.values())
        chosen, size = max(several, key=lambda net: known[net]), _size(None, data)
        correlations = _correlations(known, known, top)
        rankings.append(Ranking("whole", known, chosen, known[chosen], *correlations, *size, seconds))
    return rankings


def _several(nets: Sequence[Architecture | Candidate], data: Data) -> list[Candidate]:
    """The networks, each of which suits the data.

    Raises:
        InputError: one does not, there are too few, two are equal, or two are made by functions of one source.
    """
    found = [net if isinstance(net, Candidate) else Candidate(net) for net in nets]
    if len(found) < 2:
        raise InputError(f"{len(found)} network is given; give at least two to choose from")
    known: list[Any] = []
    for i, candidate in enumerate(found):
        if candidate in found[:i]:
            raise InputError(f"{candidate} is given twice; leave one out")
        net = _Job(None, candidate).net
        if (each := (record(net), candidate.how)) in known:
            raise InputError(
                f"nothing tells two networks of the function {candidate} apart; bind what differs with "
                "functools.partial, or write two functions"
            )
        known.append(each)
        build(net, data.shape, data.train.classes)
    return found


def _check(
    proxies: Mapping[str, Recipe | Condensed | EarlyStopping], whole: Data, fold: Data, folder: Path | None
) -> None:
    """Check, before anything is condensed, that the proxies suit the data and the folder.

    Raises:
        InputError: one does not, or there are none.
    """
    if not proxies:
        raise InputError('`proxies` is empty; give, for example, {"random": Random(ipc=10)}')
    for name, proxy in proxies.items():
        if not isinstance(proxy, Recipe | Condensed | EarlyStopping):
            raise InputError(f"the proxy {name!r} is neither a recipe nor a condensed set nor EarlyStopping()")
        in_folder = folder is not None and isinstance(proxy, Recipe)
        if in_folder and (not name or Path(name).name != name or name.startswith(".")):
            raise InputError(f"the proxy's name {name!r} cannot be that of a folder; give a plain name")
    if all(isinstance(proxy, EarlyStopping) for proxy in proxies.values()):
        raise InputError("early stopping takes as many steps as training on a set; give a recipe or a set, too")
    for name, proxy in proxies.items():
        if isinstance(proxy, Condensed) and proxy.data["fingerprint"] == whole.train.fingerprint:
            log.warning(
                f"{name} was condensed from the whole training part, and so from the rows on which networks are "
                "measured; condense the training part without these rows in its place (`data.validation().train`)"
            )
        if isinstance(proxy, Condensed):
            if set(proxy.class_names) != set(fold.class_names):
                raise InputError(f"the proxy {name!r} has other classes than {whole.name}; give a set of these data")
            if (shape := proxy.synthetic.decoded_shape[1:]) != fold.shape:
                raise InputError(f"the images of the proxy {name!r} are {shape}, those of {whole.name} {fold.shape}")
        if isinstance(proxy, Recipe):
            proxy.algorithm(fold.train)
            if folder is not None:
                check_folder(proxy, fold.train, _folder(folder, name))


def _folder(out: Path, name: str) -> Path:
    """The folder of a proxy's run."""
    return out / name.replace(":", "-")


def _condensed(proxy: Recipe | Condensed, fold: Data, folder: Path | None, progress: bool) -> Condensed:
    """The set of a proxy, which is kept in a folder if there is one."""
    return proxy if isinstance(proxy, Condensed) else made(proxy, fold, folder, progress)


def _key(job: _Job, identities: Mapping[str, str], shared: _Shared) -> dict[str, Any]:
    """All that determines the result of a job; `identities` are those of the sets, by proxy."""
    rules = _rules(job, shared)
    train, test = shared.data.train, shared.data.test
    about = {
        "net": record(job.net), "package": version(job.net.package) if isinstance(job.net, Packaged) else None,
        "protocol": rules.record(), "repeats": shared.repeats, "seed": shared.seed, "dtype": str(shared.dtype),
        "data": [train.fingerprint, train.space.fingerprint, str(train.dtype), test.fingerprint, *train.class_names],
        "code": code(),
        "environment": {k: v for k, v in environment(train.device).items() if k != "threads"},  # jobs have one each
    }  # fmt: skip
    return {"proxy": "whole" if job.proxy is None else identities.get(job.proxy, "early stopping"), **about}


def _identity(condensed: Condensed) -> str:
    """A hash of everything in a set that determines what networks learn from it."""
    synthetic, space = condensed.synthetic, condensed.space
    decoder = synthetic.decoder
    head = [type(decoder).__name__, decoder.arguments, space.stored, space.fingerprint, synthetic.format,
            condensed.class_names]  # fmt: skip
    stored = tensor_file(synthetic.state_dict(), {"set": json.dumps(head, default=str)})
    return hashlib.blake2b(stored, digest_size=16).hexdigest()


def _rules(job: _Job, shared: _Shared) -> Protocol:
    """How the network of a job is trained."""
    kind = shared.reference if job.proxy is None else shared.protocol
    of = protocols.named(kind)
    differs = job.candidate.how
    if job.proxy is None or job.proxy in shared.sets:
        data, made = (shared.data, None) if job.proxy is None else (shared.fold, shared.sets[job.proxy])
        rules = of(data, made, job.net)
        return replace(rules, how=replace(rules.how, **differs))
    first = next(iter(shared.sets.values()))
    rules, rows = of(shared.fold, first, job.net), first.rows_per_class * first.synthetic.classes
    rules = replace(rules, how=replace(rules.how, **differs))
    an_epoch = ceil(rows / rules.how.batch_size)
    small = replace(rules.how, batch_size=ceil(rows / an_epoch))  # of 100 rows, batches of 64 have 50 on average
    steps = rules.steps_for(rows) if rules.seconds is None else None
    return replace(rules, name=f"{rules.name}, early stopping", how=small, steps=steps)


def _measured(shared: _Shared, job: _Job) -> dict[str, float]:
    """The accuracy of the network of a job, and the seconds that it took."""
    how: dict[str, Any] = {"repeats": shared.repeats, "seed": shared.seed, "dtype": shared.dtype, "progress": False}
    rules = _rules(job, shared)

    def protocol(data: Data, condensed: Condensed | None = None, net: Architecture | None = None) -> Protocol:
        return rules

    if made := shared.sets.get(job.proxy or ""):
        reached = evaluate(made, shared.fold, job.net, protocol, **how)
    else:
        reached = evaluate_whole(shared.data if job.proxy is None else shared.fold, job.net, protocol, **how)
    return {"accuracy": reached.mean, "seconds": reached.seconds}


def _correlations(
    ours: Mapping[Candidate, float], theirs: Mapping[Candidate, float], top: int
) -> tuple[float | None, float | None, float | None]:
    """Spearman's correlation over the networks that are best by `ours`, then over all, and Kendall's over all."""
    from scipy.stats import kendalltau, spearmanr

    nets = sorted(ours, key=lambda net: -ours[net])
    pairs = np.array([(ours[net], theirs[net]) for net in nets])
    return _correlation(spearmanr, pairs[:top]), _correlation(spearmanr, pairs), _correlation(kendalltau, pairs)


def _correlation(kind: Callable[[Any, Any], Any], pairs: Any) -> float | None:
    """A rank correlation; None if all values on one side are equal."""
    ours, theirs = pairs.T
    if len(set(ours)) < 2 or len(set(theirs)) < 2:
        return None
    return float(kind(ours, theirs).statistic)


def _size(condensed: Condensed | None, data: Data) -> tuple[int, int]:
    """The floats and the bytes of a set, or of the whole training part."""
    if condensed:
        return condensed.floats, condensed.bytes
    return len(data.train) * prod(data.shape), len(data.train) * data.train.bytes_per_image
