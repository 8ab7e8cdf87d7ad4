"""hippopt_pretrain: train a base network on a planned data set, or on scans made from label maps."""

import argparse
import re
import time
from pathlib import Path

from hippopt.artifacts.plan import TOKEN_SIZES
from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.cli.shared_options import add_device, add_label_maps
from hippopt.errors import UsageError
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("hippopt_pretrain", "Train a base network, to be adapted by hippopt_train --base.")
    parser.add_argument(
        "dataset", metavar="DATASET", nargs="?", help="a planned data set to learn from; or give --synthetic"
    )
    add_label_maps(
        parser,
        "learn from scans made on the fly from the brain label maps in these folders",
        "label maps of each folder kept for validation",
    )
    parser.add_argument(
        "--size", help="size of the network: base (the paper's), small or tiny; default: the plan's, or small"
    )
    parser.add_argument(
        "--patch",
        type=int,
        nargs=3,
        default=[48, 64, 48],
        metavar=("Z", "Y", "X"),
        help="voxels of a training patch, multiples of the token size, for --synthetic",
    )
    parser.add_argument(
        "--token-size",
        type=int,
        choices=TOKEN_SIZES,
        help="voxels along each axis of a transformer's token; default: the plan's or the base's, or 16",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="how scans are made, e.g. share_t1=1 or offset_mm=6",
    )
    parser.add_argument("--batch-size", type=int, default=2, help="for --synthetic")
    parser.add_argument(
        "--base", type=Path, metavar="FILE|NAME", help="a base file to go on from, or the name of one that is shipped"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="name of the base; default: synthetic-SIZE or the data set's name"
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, help="number of steps")
    budget.add_argument("--minutes", type=float, help="minutes of wall time of the training")
    parser.add_argument(
        "--learning-rate", type=float, help="peak of the schedule; default: the plan's for `full`, or 2e-3"
    )
    parser.add_argument("--resume", action="store_true", help="continue where it stopped")
    parser.add_argument("--overwrite", action="store_true", help="train anew")
    parser.add_argument(
        "--precision", choices=("half", "float"), default="half", help="precision of the stored weights"
    )
    parser.add_argument("--licence", default="unknown", help="licence of the weights, for their card")
    parser.add_argument("--attribution", default="", help="whom to credit for the data, for the card")
    parser.add_argument(
        "--preview", type=Path, metavar="FILE.png", help="draw a sheet of synthetic scans with their contours, and stop"
    )
    add_device(parser)
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches of a data set")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and batches")
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    started = time.perf_counter()
    for name in ("steps", "minutes", "learning_rate", "batch_size"):
        if getattr(options, name) is not None and getattr(options, name) <= 0:
            raise UsageError(f"--{name.replace('_', '-')} must be above 0")
    if options.dataset is None and not options.synthetic:
        raise UsageError("name a data set, or give --synthetic DIR")
    if options.dataset is not None and options.synthetic:
        raise UsageError(
            f"{options.dataset} and --synthetic exclude each other: learn from a data set, or from label maps"
        )
    token = options.token_size or min(TOKEN_SIZES)  # without one, the recipe knows better
    if any(size <= 0 or size % token for size in options.patch):
        raise UsageError(
            f"--patch {' '.join(map(str, options.patch))}: three multiples of {token}, the token size, above 0"
        )
    if options.settings and not options.synthetic:
        raise UsageError("--set tells how scans are made from label maps: give --synthetic DIR")
    if options.resume and options.overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    if options.name and not re.fullmatch(r"[A-Za-z0-9_-]+", options.name):  # it becomes a folder's name
        raise UsageError(f"--name {options.name!r}: letters, digits, - and _ only")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: not below 0")
    from hippopt.recipes.pretraining import pretrain_base, preview
    from hippopt.training.pretraining import PretrainRequest
    from hippopt.training.pretraining_sources import SourceRequest

    name = options.name or (
        f"synthetic-{options.size or 'small'}" if options.synthetic else workspace.resolve(options.dataset)
    )
    patch = (options.patch[0], options.patch[1], options.patch[2])
    source = SourceRequest(
        dataset=options.dataset,
        label_maps=tuple(options.synthetic),
        label_table=options.label_table,
        size=options.size,
        token_size=options.token_size,
        patch_size=patch,
        synthesis=tuple(options.settings),
        batch_size=options.batch_size,
        hold_out=options.hold_out,
        base=options.base,
        device=options.device,
        workers=options.workers,
        licence=options.licence,
        attribution=options.attribution,
    )
    if options.preview:
        if not options.synthetic:
            raise UsageError("--preview shows synthetic scans: give --synthetic DIR")
        preview(source, options.seed, options.preview, console)
        console.say(f"look at {options.preview}")
        return
    request = PretrainRequest(
        name=name,
        seed=options.seed,
        steps=options.steps,
        minutes=options.minutes,
        learning_rate=options.learning_rate,
        resume=options.resume,
        overwrite=options.overwrite,
        precision=options.precision,
    )
    made = pretrain_base(workspace, source, request, console)
    if made is None:  # under torchrun: the first process reports
        return
    path, card = made
    console.say(
        f"base {card.name}: {card.steps} steps, {path.stat().st_size / 1e6:.1f} MB,"
        f" {(time.perf_counter() - started) / 60:.1f} min"
    )
    console.say(
        "Dice on what it has not seen: "
        + ", ".join(f"{key} {value:.3f}" for key, value in (card.validation or {}).items())
    )
    console.say(f"next: hippopt_train DATASET FOLD --base {path}")


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
