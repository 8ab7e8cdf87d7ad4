"""hippopt_compare: train ways to fine-tune side by side, and write one table."""

import argparse
import re
import sys

from hippopt.artifacts.methods import METHODS, VARIANTS
from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.cli.requests import predict_command, train_command
from hippopt.cli.shared_options import add_device
from hippopt.console import counted
from hippopt.errors import UsageError
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_compare",
        "Compare ways to fine-tune on the same cases, in one table. What is there already is kept: the same command"
        " continues.",
    )
    parser.add_argument(
        "datasets",
        nargs="+",
        metavar="DATASET",
        help=(
            "to train on: 4, 004, Name or Dataset004_Name; several, of different numbers of labelled scans, are"
            " compared one after the other, and then in one table and plot over their numbers of scans"
        ),
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--test", metavar="DATASET", help="train on all cases and report on this labelled data set")
    where.add_argument(
        "--folds", nargs="+", default=[], metavar="FOLD", help="train these folds and report on their validation cases"
    )
    parser.add_argument(
        "--choose",
        nargs="+",
        default=[],
        metavar="DATASET|FOLD",
        help="cases that choose the learning rate where several are given: a third data set, or other folds",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["lora-pt", "decoder", "full"],
        metavar="METHOD",
        help=f"of {', '.join(METHODS)}, "
        + ", ".join(f"{name} ({variant.words})" for name, variant in VARIANTS.items()),
    )
    parser.add_argument(
        "--ranks",
        nargs="+",
        default=[],
        metavar="RANK",
        help="for methods that have ranks, or METHOD=RANK for one; default: the plan's",
    )
    parser.add_argument(
        "--learning-rates",
        nargs="+",
        default=[],
        metavar="RATE",
        help=(
            "for all methods, or METHOD=RATE for one; several: one is chosen for each method and rank; default: the"
            " plan's"
        ),
    )
    parser.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[],
        metavar="SEED",
        help="each method is trained with each; default: the plan's",
    )
    parser.add_argument("--steps", type=int, help="number of steps of each training; default: the plan's")
    parser.add_argument(
        "--base", metavar="FILE|NAME", help="pre-trained weights; default: the shipped base where it fits the plan"
    )
    parser.add_argument(
        "--name", default="compare", help="name of the comparison, which also stands in the names of its runs"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="trainings side by side; they share the cores, at least one thread each"
    )
    add_device(parser)
    parser.add_argument(
        "--allow-seen", action="store_true", help="accept a base that was trained on cases that choose or are reported"
    )
    parser.add_argument(
        "--finished",
        action="store_true",
        help=(
            "train and predict nothing: write the tables and plots of what is finished, also while the same command"
            " trains elsewhere; what is missing is named, and the exit status is then 1"
        ),
    )
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> int:
    for name in ("steps", "jobs"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise UsageError(f"--{name} must be above 0")
    if any(seed < 0 for seed in options.seeds):
        raise UsageError("--seeds: whole numbers not below 0")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", options.name):
        raise UsageError(f"--name {options.name!r}: letters, digits, - and _ only")
    datasets = list(dict.fromkeys(workspace.resolve(name) for name in options.datasets))
    if len(datasets) > 1 and options.test is None:
        raise UsageError(
            f"{' '.join(options.datasets)}: several data sets are reported on another one; name it with --test"
        )
    from hippopt.comparison.compare import run_comparison
    from hippopt.comparison.curve import by_scans, write_curve
    from hippopt.comparison.units import Commands, ComparisonRequest
    from hippopt.planned_dataset import load_planned_dataset
    from hippopt.planning.comparison_grid import make_grid

    prepared = [load_planned_dataset(workspace, name) for name in datasets]
    ordered = by_scans(prepared)
    request = ComparisonRequest(
        grid=make_grid(
            options.methods, options.ranks, options.learning_rates, options.seeds or [prepared[0].plan.seed]
        ),
        test=options.test,
        folds=tuple(options.folds),
        choose=tuple(options.choose),
        steps=options.steps,
        base=options.base,
        name=options.name,
        jobs=options.jobs,
        device=options.device,
        allow_seen=options.allow_seen,
        finished=options.finished,
    )
    commands = Commands(
        lambda name, fold, asked: train_command(workspace, name, fold, asked),
        lambda name, asked: predict_command(workspace, name, asked),
    )
    failed, compared = False, {}
    for scans, planned in ordered.items():
        if len(ordered) > 1:
            console.say(f"{planned.name}: {counted(scans, 'labelled scan')}")
        reasons, compared[scans] = run_comparison(planned, request, commands, console)
        failed = failed or bool(reasons)
        for what, reason in reasons.items():
            console.warn(f"{request.lacking}: {what}: {reason}")
    if len(compared) > 1 and not write_curve(compared, console):
        failed = True
    return 1 if failed else 0


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
