"""hippopt_plan: verify, fingerprint, plan, preprocess."""

import argparse
import sys
import time
from pathlib import Path

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.errors import UsageError
from hippopt.machine import core_count
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("hippopt_plan", "Verify a data set, take its fingerprint, plan, and preprocess its cases.")
    parser.add_argument(
        "dataset",
        nargs="?",
        metavar="DATASET",
        help="4, 004, Name or Dataset004_Name; may be left out where there is only one",
    )
    parser.add_argument("--verify-only", action="store_true", help="stop after the checks")
    parser.add_argument("--no-preprocess", action="store_true", help="stop after the plan")
    parser.add_argument("--set", dest="settings", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                        help="change decisions of the plan, such as batch_size=4 or network.size=base")  # fmt: skip
    parser.add_argument(
        "--reset",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY",
        help="decide these keys of the plan again, such as folds or augmentation.flip_axes; other edits stay",
    )
    parser.add_argument(
        "--splits",
        type=Path,
        metavar="FILE",
        help="take the folds of a file in the form of nnU-Net's splits_final.json",
    )
    parser.add_argument(
        "--memory-gb", type=float, help="memory to plan for; default: the GPU's, or half of the machine's"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="kind of machine to plan for")
    parser.add_argument("--jobs", type=int, default=core_count(), help="cases at a time")
    parser.add_argument(
        "--fix-headers", action="store_true", help="give labels the header of their image where only the affine differs"
    )
    parser.add_argument("--overwrite", action="store_true", help="plan anew and rebuild preprocessed cases")
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    if options.jobs < 1 or (options.memory_gb is not None and options.memory_gb <= 0):
        raise UsageError("--jobs and --memory-gb must be above 0")
    if options.reset and options.overwrite:
        raise UsageError("--overwrite decides all keys again; leave --reset out, or --overwrite")
    started = time.perf_counter()
    from hippopt.artifacts.corrections import read_corrections
    from hippopt.recipes.planning import PlanningRequest, plan_dataset
    from hippopt.recipes.trained_before import next_training

    name = workspace.resolve(options.dataset)
    request = PlanningRequest(
        jobs=options.jobs,
        settings=tuple(options.settings),
        memory_gb=options.memory_gb,
        device=options.device,
        verify_only=options.verify_only,
        preprocess=not options.no_preprocess,
        fix_headers=options.fix_headers,
        overwrite=options.overwrite,
        reset=tuple(options.reset),
        splits=options.splits,
    )
    plan = plan_dataset(workspace, name, request, console)
    following = ""
    if plan is not None:
        short = plan.schedule.base_share_of_one_scan > 0 and not plan.folds  # docs/experiments.md, length
        what = "all" if plan.folds else "full-data --steps 300" if short else "full-data"
        grown = bool(read_corrections(workspace.dataset_folder(name)).cases)
        train = next_training(workspace, name) if grown else None
        following = f"; next: {train or f'hippopt_train {workspace.short_name(name)} {what}'}"
    console.say(f"done in {time.perf_counter() - started:.1f} s{following}")


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
