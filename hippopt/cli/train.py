"""hippopt_train: train and validate one fold or all folds, or train fits on all cases."""

import argparse
import math
import re
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hippopt.artifacts.fold_names import fit_number, fold_names
from hippopt.artifacts.methods import METHODS, Method, check_package
from hippopt.artifacts.plan import KERNEL_RANK, PLANNED_ADAPTER
from hippopt.artifacts.trained_words import trains_in_words
from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.cli.requests import read_request, request_arguments, train_command
from hippopt.cli.shared_options import add_device
from hippopt.errors import UsageError
from hippopt.workspace import Workspace

if TYPE_CHECKING:
    from hippopt.planned_dataset import PlannedDataset
    from hippopt.training.request import TrainingRequest


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("hippopt_train", "Train a fold of a planned data set and validate it on whole cases.")
    parser.add_argument("dataset", metavar="DATASET", help="4, 004, Name or Dataset004_Name")
    parser.add_argument(
        "fold",
        metavar="FOLD",
        help=(
            "0 to 4, all (each fold in turn), or full-data (train on everything; full-data-2 and so on are further"
            " fits)"
        ),
    )
    parser.add_argument(
        "--fits",
        type=int,
        default=1,
        metavar="N",
        help="fits of full-data, each with a seed of its own, averaged in prediction",
    )
    parser.add_argument(
        "--method",
        choices=tuple(METHODS),
        metavar="METHOD",
        help="what trains; default: lora-pt with a base, else full. With the adapter settings of a new plan: "
        + "; ".join(f"{name}: {trains_in_words(name, PLANNED_ADAPTER)}" for name in METHODS),
    )
    parser.add_argument(
        "--rank",
        type=int,
        help=f"rank of {', '.join(name for name, traits in METHODS.items() if traits.ranked)}; default: the plan's",
    )
    parser.add_argument(
        "--learning-rate", type=float, metavar="RATE", help="highest learning rate of the schedule; default: the plan's"
    )
    parser.add_argument(
        "--base",
        metavar="FILE|NAME",
        help="pre-trained weights to start from, or none; default: the shipped base where it fits the plan",
    )
    parser.add_argument(
        "--no-transformer",
        action="store_true",
        help="leave the transformer's blocks out, to see what they are worth (network.transformer=false)",
    )
    parser.add_argument(
        "--kernels",
        action="store_true",
        help=f"put the factors of lora-pt or lora on the kernels of the convolutions, at rank {KERNEL_RANK} where none"
        " is given: of the rest only the head and the norms train, and the adapter file is a tenth in size",
    )
    parser.add_argument(
        "--continue-from",
        metavar="RUN",
        help="go on from this run's own networks, fold by fold, on its base and by its method and plan, as "
        "after hippopt_correct. The result is a run of its own, named after RUN where --name gives no other",
    )
    parser.add_argument(
        "--unlabelled",
        type=Path,
        metavar="DIR",
        help="with full-data: learn from these scans too, by the masks that a trained run makes of them, but for"
        " doubtful ones, under stronger augmentation. The result is a run of its own, `unlabelled` where --name gives"
        " no other",
    )
    parser.add_argument(
        "--teacher",
        metavar="RUN",
        help="run that segments the scans of --unlabelled; default: what hippopt_best chose, or the only other run",
    )
    parser.add_argument("--name", default="", metavar="RUN", help="added to the run's name, to keep several runs apart")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, help="number of steps; default: the plan's")
    budget.add_argument("--minutes", type=float, help="minutes of wall time per fold, validation included")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="start the fold, continue it where it stopped, or leave it as it is where it is finished",
    )
    parser.add_argument("--overwrite", action="store_true", help="train a finished or begun fold anew")
    parser.add_argument("--allow-seen", action="store_true", help="accept a base that was trained on validation cases")
    parser.add_argument("--allow-change", action="store_true", help="resume although settings changed")
    add_device(parser)
    parser.add_argument("--workers", type=int, help="processes that make batches; default: by the machine")
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="folds side by side, each in a process; default: on a CPU as many as there are cores",
    )
    parser.add_argument(
        "--slurm",
        type=Path,
        metavar="FILE",
        help=(
            "with FOLD all: write the script of a SLURM array job that trains each fold in a task, and "
            "one that calibrates afterwards; submits nothing"
        ),
    )
    parser.add_argument("--seed", type=int, help="seed of weights and batches; default: the plan's")
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    started = time.perf_counter()
    for name in ("rank", "steps", "minutes", "learning_rate"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"--{name.replace('_', '-')} must be above 0")
    if options.jobs is not None and options.jobs < 1:
        raise UsageError("--jobs must be above 0")
    if options.resume and options.overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    if options.name and not re.fullmatch(r"[A-Za-z0-9_-]+", options.name):  # it becomes part of a folder's name
        raise UsageError(f"--name {options.name!r}: letters, digits, - and _ only")
    dataset_name = workspace.resolve(options.dataset)
    from hippopt.artifacts.plan_rules import default_method
    from hippopt.planned_dataset import load_planned_dataset

    planned = load_planned_dataset(workspace, dataset_name)
    plan = planned.plan
    folds = fold_names(options.fold, len(plan.folds), options.fits)
    from hippopt.networks.base_files import chosen_base

    if options.continue_from is not None:
        planned, method, base = _continued(options, planned, console)
        plan = planned.plan
    else:
        options.rank = options.rank or (KERNEL_RANK if options.kernels else None)
        kinds = ("kernels" if options.kernels else "", "unlabelled" if options.unlabelled is not None else "")
        options.name = options.name or "-".join(filter(None, kinds))
        base = chosen_base(options.base, plan)
        usual = "lora-pt" if options.kernels else default_method(plan, base is not None, options.no_transformer)
        method = options.method or usual
    check_package(method)
    if METHODS[method].needs_base and base is None and options.continue_from is None:
        raise UsageError(
            f"--method {method} adapts pre-trained weights: name them with --base FILE, or use --method full"
        )
    from hippopt.planning.run_plan import run_name
    from hippopt.recipes.folds_side_by_side import SideBySide
    from hippopt.recipes.training import train_folds
    from hippopt.recipes.training_inputs import base_of_run
    from hippopt.training.machine_limits import folds_at_once
    from hippopt.training.request import TrainingRequest

    if options.base is None and base is not None and not options.overwrite:
        base = (
            base_of_run(workspace, dataset_name, run_name(method, options.rank or plan.adapter.rank, options.name))
            or base
        )
    request = read_request(TrainingRequest, options, method=method, base=base)
    if options.slurm is not None:
        _write_scripts(options, workspace, dataset_name, planned, request, console)
        return
    at_once = options.jobs or folds_at_once(plan, len(folds), options.device)
    apart = (
        SideBySide(at_once, lambda fold, asked: train_command(workspace, dataset_name, fold, asked))
        if at_once > 1
        else None
    )
    train_folds(planned, folds, request, console, started, apart)
    short, run = workspace.short_name(dataset_name), run_name(method, options.rank or plan.adapter.rank, options.name)
    trained = workspace.trained_folds(dataset_name, run)
    left = [str(number) for number in range(len(plan.folds)) if str(number) not in trained]
    more = (
        f"hippopt_train {short} {left[0]} ... for the next fold, or "
        if left and not any(map(fit_number, folds))
        else ""
    )
    chosen = f" -f {' '.join(folds)}" if any(map(fit_number, folds)) and any(fold.isdigit() for fold in trained) else ""
    console.say(f"next: {more}hippopt_predict -i IN -o OUT -d {short} --run {run}{chosen}")


def _continued(
    options: argparse.Namespace, planned: "PlannedDataset", console: TerminalConsole
) -> "tuple[PlannedDataset, Method, str | None]":
    """The data set by the plan of the run to go on from, its method and base, and in `options` the new run's name.

    Raises UsageError for options that the earlier run decides, and for a run that cannot be gone on from.
    """
    from hippopt.networks.base_files import chosen_base
    from hippopt.recipes.continued_run import continued_name, open_earlier

    earlier = open_earlier(planned, options.continue_from, console)
    others = (
        (f"--method {options.method}", options.method not in (None, earlier.method)),
        (f"--rank {options.rank}", options.rank not in (None, earlier.plan.adapter.rank)),
        ("--no-transformer", options.no_transformer and earlier.plan.network.transformer),
        ("--kernels", options.kernels),
    )
    for option, differs in others:
        if differs:
            raise UsageError(
                f"{option}: not with --continue-from, which goes on by the method and the network of run"
                f" {earlier.name}; leave it out, or train anew"
            )
    options.name = options.name or continued_name(earlier)
    base = earlier.base if options.base is None else chosen_base(options.base, earlier.plan)
    return planned.with_plan(earlier.plan), earlier.method, base


def _write_scripts(
    options: argparse.Namespace,
    workspace: Workspace,
    dataset: str,
    planned: "PlannedDataset",
    request: "TrainingRequest",
    console: TerminalConsole,
) -> None:
    from hippopt.recipes.cluster_jobs import ScriptRequest, write_folds

    if options.fold != "all":
        raise UsageError(f"--slurm makes a task of each fold: give all in place of {options.fold}")
    here = Workspace(options.root.absolute())
    asked = [dataset, "all", "--root", str(options.root), *request_arguments(request), "--slurm", str(options.slurm)]
    script = ScriptRequest(options.slurm, shlex.join(["hippopt_train", *asked]))
    write_folds(planned, request, script, lambda fold, asked: train_command(here, dataset, fold, asked), console)


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
