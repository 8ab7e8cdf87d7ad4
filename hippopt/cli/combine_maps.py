"""hippopt_combine_maps: set manual label maps of deep structures into whole heads, as a source of synthetic scans."""

import argparse
import time
from pathlib import Path

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.errors import UsageError
from hippopt.machine import core_count
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_combine_maps",
        "Bring label maps of whole heads onto manual label maps of deep structures, and write one map of both for each"
        " manual one, in FreeSurfer's numbering: a source for hippopt_pretrain --synthetic.",
    )
    parser.add_argument(
        "manual",
        type=Path,
        metavar="MANUAL",
        help="folder of manual maps: hippocampus and other deep structures, no cortex needed",
    )
    parser.add_argument(
        "heads", type=Path, metavar="HEADS", help="folder of maps of whole heads, in FreeSurfer's numbering"
    )
    parser.add_argument(
        "output",
        type=Path,
        metavar="OUT",
        help="folder to make, with the maps, a table of how well they fit and their origin",
    )
    parser.add_argument(
        "--numbers",
        type=Path,
        metavar="TABLE",
        help="what the manual values are: value, name, freesurfer; default: Harvard-Oxford Atlas 2.0's",
    )
    parser.add_argument(
        "--least-overlap",
        type=float,
        default=0.7,
        metavar="DICE",
        help="leave out a map whose shared structures overlap less, once registered",
    )
    parser.add_argument(
        "--most-gaps",
        type=float,
        default=0.4,
        metavar="SHARE",
        help="leave out a map of which more had to be filled, as a share of its structures' volume",
    )
    parser.add_argument(
        "--spacing",
        type=float,
        default=1.0,
        metavar="MM",
        help="cubic voxels of the combined maps; finer ones keep thin structures of finer manual maps and take more"
        " minutes and memory, here and in hippopt_pretrain; default 1",
    )
    parser.add_argument("--preview", type=Path, metavar="FILE.png", help="draw a sheet of twenty of the maps")
    parser.add_argument(
        "--seed", type=int, default=0, help="which manual map goes into which head, and where the surfaces are sampled"
    )
    parser.add_argument("--jobs", type=int, default=core_count(), help="heads at a time; each takes about 1 GB")
    parser.add_argument("--overwrite", action="store_true", help="replace the folder")
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    started = time.perf_counter()
    if options.jobs < 1:
        raise UsageError("--jobs must be above 0")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: not below 0")
    if not 0 <= options.least_overlap < 1 or options.most_gaps <= 0:
        raise UsageError("--least-overlap is a Dice from 0 to 1, --most-gaps a share above 0")
    if not 0.3 <= options.spacing <= 3:
        raise UsageError(f"--spacing {options.spacing:g}: give millimetres from 0.3 to 3")
    from hippopt.recipes.combining import CombiningRequest, combine_folders

    rows = combine_folders(
        CombiningRequest(
            manual=options.manual,
            heads=options.heads,
            output=options.output,
            numbers=options.numbers,
            least_overlap=options.least_overlap,
            most_gaps=options.most_gaps,
            preview=options.preview,
            spacing_mm=options.spacing,
            seed=options.seed,
            jobs=options.jobs,
            overwrite=options.overwrite,
        ),
        console,
    )
    out = [row for row in rows if row.left_out]
    for row in out:
        console.say(f"left out {row.map} in {row.head}: {row.left_out}")
    kept = [row for row in rows if not row.left_out]
    console.say(
        f"{len(kept)} maps in {options.output}, {len(out)} left out; overlap of shared structures"
        f" {sum(row.overlap for row in kept) / len(kept):.3f}, gaps {sum(row.gaps for row in kept) / len(kept):.3f},"
        f" {(time.perf_counter() - started) / 60:.1f} min"
    )
    if options.preview:
        console.say(f"look at {options.preview}")
    console.say(f"next: hippopt_pretrain --synthetic {options.output} {options.heads} --preview sheet.png")


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
