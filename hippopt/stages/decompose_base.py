"""Stage: the initial factors of a run, once for all its folds:
from its folder, from the cache beside the base, or by an SVD.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import torch

from hippopt.artifacts.codec import content_hash
from hippopt.artifacts.methods import METHODS, Method
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.weights import BaseCard, FactorsRecord
from hippopt.console import Console
from hippopt.errors import OutputError, WeightsError
from hippopt.networks.initial_factors import (
    InitialFactors,
    differences,
    factors_record,
    load_factors,
    same_decomposition,
    save_factors,
)
from hippopt.networks.restoring import build_with_base, read_card
from hippopt.networks.stacks import planned_name
from hippopt.networks.tensor_files import tensors_sha256
from hippopt.networks.tuning import tune
from hippopt.networks.unetr import build_unetr
from hippopt.planned_dataset import PlannedDataset
from hippopt.workspace import Workspace

Base = tuple[Mapping[str, torch.Tensor], BaseCard]


def decompose_base(
    planned: PlannedDataset, run: str, method: Method, base: Base, anew: Collection[str], console: Console
) -> InitialFactors:
    """Give the factors that all folds of a run start from; written to its folder where they are not there yet.

    Args:
        planned: the data set with its plan and workspace.
        run: the run's name.
        method: one that starts from singular vectors of the base.
        base: tensors and card of the base.
        anew: the folds that are now trained from the beginning. Every other fold of the run keeps the factors that it
            began with.
        console: says where the factors come from, and what was wrong with those that were there.

    Returns:
        The factors, float16, by the names of their stacks or layers.

    Raises:
        WeightsError: the base does not fit the plan's network or a rank does not fit its weights; or the factors that
            another fold began with are lost, or were made of another base, rank, stacks or form of S.
        UsageError: a library that the method needs is not installed, or the method has no factors for the kernels that
            the plan names.
        OutputError: the run's folder cannot be written.
    """
    plan, path = planned.plan, planned.workspace.initial_factors(planned.name, run)
    with torch.device("meta"):
        shapes = build_unetr(len(plan.channel_names), len(plan.network_classes), plan.patch_size, plan.network)
    wanted = factors_record(method, base[1].sha256, shapes, plan.network, plan.adapter)
    with _one_process(path.parent, console):
        replace = False
        if path.exists():
            try:
                found, record = load_factors(path)
            except WeightsError as error:
                console.warn(f"{str(error).partition('; ')[0]}; made again")
            else:
                if same_decomposition(record, wanted):
                    return found
                _check_free(planned, run, anew, f"it was made otherwise ({differences(record, wanted)})")
            replace = True
        initial = _kept_or_computed(planned.workspace, method, plan, base, wanted, console)
        _check_same(planned, run, anew, initial)
        save_factors(path, initial, wanted, replace)
        found, record = load_factors(path)  # where directories cannot be locked, another process may have been first
        if not same_decomposition(record, wanted):
            raise WeightsError(
                f"{path}: another process just made it otherwise ({differences(record, wanted)}); give --name for a run"
                " of its own"
            )
        return found


def carry_factors(
    planned: PlannedDataset, earlier: str, run: str, anew: Collection[str], console: Console
) -> InitialFactors:
    """The initial factors of an earlier run, from which its adapters differ; written to the folder of the run that goes
    on from it, where they are not there yet.

    anew: the folds that are now trained from the beginning. Raises WeightsError where the earlier run's factors are
    missing or damaged, or another fold of the run began with others.
    """
    own, path = (planned.workspace.initial_factors(planned.name, name) for name in (earlier, run))
    initial, record = load_factors(own)
    with _one_process(path.parent, console):
        if path.exists():
            try:
                if load_factors(path)[0].sha256 == initial.sha256:
                    return initial
            except WeightsError as error:
                console.warn(f"{str(error).partition('; ')[0]}; copied anew")
            _check_free(planned, run, anew, f"its factors are not those of run {earlier}")
        save_factors(path, initial, record, replace=True)
    return initial


def _kept_or_computed(
    workspace: Workspace, method: Method, plan: Plan, base: Base, wanted: FactorsRecord, console: Console
) -> InitialFactors:
    card = base[1]
    ranks = "-".join(dict.fromkeys(str(rank) for rank in wanted.rank.values()))
    cache = workspace.decomposition(card.sha256, ranks, content_hash(wanted))
    if cache.exists():
        try:
            kept, record = load_factors(cache)
            if record == wanted:
                console.say(f"decomposition of base {card.name} at rank {ranks}: taken from {cache}")
                return kept
            console.warn(f"{cache}: holds another decomposition ({differences(record, wanted)}); computed anew")
        except WeightsError as error:
            console.warn(f"{str(error).partition('; ')[0]}; computed anew")
    kind = "t-SVD" if METHODS[method].tensor else "SVD of each matrix"
    stacks = ", ".join(dict.fromkeys(planned_name(name) for name in wanted.stacks))
    console.say(f"decomposition of base {card.name} at rank {ranks}: computing the {kind} of {stacks}")
    started = time.perf_counter()
    initial = _decompose(method, plan, base)
    console.say(f"decomposed in {time.perf_counter() - started:.1f} s")
    try:
        save_factors(cache, initial, wanted, replace=True)
    except OutputError as error:  # the run's own file is what counts
        console.warn(f"{error}; the decomposition is not kept for other runs")
    return initial


def _decompose(method: Method, plan: Plan, base: Base) -> InitialFactors:
    model, _, remade = build_with_base(plan, base, 0, base[1].name)
    tuned = tune(model, method, plan.network, plan.adapter, remade)
    tensors = {name: value.half().contiguous() for name, value in tuned.adaptation.initial_state().items()}
    return InitialFactors(tensors, tensors_sha256(tensors))


def _others(planned: PlannedDataset, run: str, anew: Collection[str]) -> list[str]:
    """Folds that are begun, finished or being trained, and not trained from the beginning now."""
    workspace = planned.workspace
    names = [fold for fold in workspace.begun_folds(planned.name, run) if fold not in anew]
    return sorted({*names, *(fold for fold in workspace.trained_folds(planned.name, run) if fold not in anew)})


def _check_free(planned: PlannedDataset, run: str, anew: Collection[str], reason: str) -> None:
    others = _others(planned, run, anew)
    if others:
        path = planned.workspace.initial_factors(planned.name, run)
        raise WeightsError(
            f"{path}: {reason}, and fold {' '.join(others)} of this run began with it; give --name for a run of its"
            " own, or train all folds anew with --overwrite"
        )


def _check_same(planned: PlannedDataset, run: str, anew: Collection[str], initial: InitialFactors) -> None:
    """Raises WeightsError where a finished fold was trained from other factors: written, they would pass
    for its own.
    """
    path = planned.workspace.initial_factors(planned.name, run)
    for fold in _others(planned, run, anew):
        card = planned.fold(run, fold).adapter_card
        if card.exists() and read_card(card).initial_sha256 != initial.sha256:
            raise WeightsError(
                f"{path}: missing or damaged, and fold {fold} was trained from other factors than a decomposition gives"
                " now; copy the original back, give --name for a run of its own, or train all folds anew with"
                " --overwrite"
            )


@contextlib.contextmanager
def _one_process(folder: Path, console: Console) -> Iterator[None]:
    """One process of this host at a time in a run's folder; a second waits, and then finds what the first
    has written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made ({error.strerror}); free space, mend permissions or choose another --root"
        ) from None
    try:
        with contextlib.suppress(OSError):  # some network file systems lock no directories
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                console.say(f"{folder}: another process decomposes the base for this run; waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
