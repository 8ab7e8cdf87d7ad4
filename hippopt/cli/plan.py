"""hippopt_plan: verify, fingerprint, plan, preprocess."""

import argparse
import os
import time

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.errors import UsageError
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("hippopt_plan", "Verify a data set, take its fingerprint, plan, and preprocess its cases.")
    parser.add_argument("dataset", nargs="?", metavar="DATASET", help="4, 004, Name or Dataset004_Name; needless where there is one")
    parser.add_argument("--verify-only", action="store_true", help="stop after the checks")
    parser.add_argument("--no-preprocess", action="store_true", help="stop after the plan")
    parser.add_argument("--set", dest="settings", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                        help="change decisions of the plan, such as batch_size=4 or network.size=base")  # fmt: skip
    parser.add_argument("--memory-gb", type=float, help="memory to plan for; default: the GPU's, or half of the machine's")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="kind of machine to plan for")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="cases at a time")
    parser.add_argument("--fix-headers", action="store_true", help="give labels the header of their image where only the affine differs")
    parser.add_argument("--overwrite", action="store_true", help="plan anew and rebuild preprocessed cases")
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    if options.jobs < 1 or (options.memory_gb is not None and options.memory_gb <= 0):
        raise UsageError("--jobs and --memory-gb must be above 0")
    started = time.perf_counter()
    from hippopt.artifacts.codec import write_json
    from hippopt.artifacts.dataset import load_dataset
    from hippopt.stages.extract_fingerprint import extract_fingerprint
    from hippopt.stages.verify_dataset import verify_dataset

    name = workspace.resolve(options.dataset)
    dataset = load_dataset(workspace.dataset_folder(name))
    surveys = verify_dataset(dataset, options.jobs, console, options.fix_headers)
    console.say(f"{name}: {len(dataset.cases)} cases of {len({c.subject for c in dataset.cases})} subjects verified, no faults")
    if options.verify_only:
        return
    fingerprint = extract_fingerprint(dataset, surveys)
    for warning in fingerprint.warnings:
        console.warn(warning)
    from hippopt.networks.device import choose_device, memory_gb
    from hippopt.planning.decisions import Machine
    from hippopt.stages.make_plan import make_plan

    device, note = choose_device(options.device)
    machine = Machine("cuda" if device.type == "cuda" else "cpu", options.memory_gb or memory_gb(device))
    plan = make_plan(fingerprint, workspace.plan(name), machine, options.settings, console, options.overwrite)
    write_json(workspace.fingerprint(name), fingerprint)
    spacing, patch = (" x ".join(f"{value:g}" for value in triple) for triple in (plan.target_spacing_mm, plan.patch_size))
    console.say(f"plan for {machine.memory_gb:.1f} GB {note}: {workspace.plan(name)}")
    for key, value in (
        ("target_spacing_mm", f"{spacing} (Z, Y, X)"), ("crop", plan.crop), ("normalisation", f"z-score over {plan.normalisation.region}"),
        ("patch_size", f"{patch} (Z, Y, X)"), ("batch_size", plan.batch_size), ("network", plan.network.size),
        ("augmentation", f"flips {list(plan.augmentation.flip_axes)}"), ("folds", len(plan.folds)),
    ):  # fmt: skip
        console.say(f"  {key}: {value} -- {plan.reasons.get(key, '')}")
    if not options.no_preprocess:
        from hippopt.stages.preprocess import preprocess

        made, kept = preprocess(dataset, fingerprint, plan, workspace.preprocessed(name), options.jobs, console, options.overwrite)
        console.say(f"preprocessed {made} cases, kept {kept}: {workspace.preprocessed(name)}")
    console.say(f"done in {time.perf_counter() - started:.1f} s; next: hippopt_train {name[11:]} 0")


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)
