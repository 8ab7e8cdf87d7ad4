"""hippopt_import: bring labelled scans into the workspace as a raw data set."""

import argparse
import sys
import time
from pathlib import Path

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.console import counted
from hippopt.errors import UsageError
from hippopt.machine import core_count
from hippopt.workspace import Workspace, dataset_name


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_import",
        "Bring labelled scans into raw_data/DatasetNNN_Name. Known layouts: Medical Segmentation Decathlon, nnU-Net v2,"
        " images/ + labels/ (same file names), X/X_img + X/X_mask. Formats: NIfTI, Analyze, NRRD (3D Slicer's"
        " segmentations too), MetaImage, FreeSurfer.",
    )
    parser.add_argument(
        "source", type=Path, nargs="?", metavar="SOURCE", help="folder of the labelled scans; it is only read"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="in place of SOURCE: a folder of scans, of any name")
    parser.add_argument(
        "--labels-dir",
        type=Path,
        metavar="DIR",
        help="with --images: the folder of their labels; files are named as the scans",
    )
    parser.add_argument(
        "--id", dest="number", type=int, required=True, metavar="N", help="number of the data set, 1 to 999"
    )
    parser.add_argument("--name", required=True, metavar="NAME", help="its name: letters, digits, - and _")
    parser.add_argument(
        "--labels",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=NUMBER[,NUMBER]",
        help=(
            "pick structures by number, several to merge them; without it all labels are kept. A name that ends in "
            "_left or _right states its side"
        ),
    )
    parser.add_argument("--subjects", type=Path, metavar="TABLE", help=".tsv or .csv with the columns case and subject")
    parser.add_argument(
        "--cases", metavar="LIST", help="take these cases only: A,B,C, a text file with one per line, or a .json list"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the data set of this number and name")
    parser.add_argument("--jobs", type=int, default=core_count(), help="cases at a time")
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    if options.jobs < 1:
        raise UsageError("--jobs must be above 0")
    if (options.images is None) != (options.labels_dir is None) or (options.source is None) == (options.images is None):
        raise UsageError("give SOURCE, or both --images DIR and --labels-dir DIR")
    started = time.perf_counter()
    dataset = dataset_name(options.number, options.name)
    from hippopt.sources.parcellation import parse_picks
    from hippopt.stages.import_dataset import ImportRequest, import_dataset

    request = ImportRequest(
        source=options.source or options.images,
        labels=options.labels_dir,
        dataset=dataset,
        picks=parse_picks(options.labels),
        subjects=options.subjects,
        cases=options.cases,
        overwrite=options.overwrite,
        jobs=options.jobs,
    )
    made = import_dataset(workspace, request, console)
    channels = f"{counted(len(made.channel_names), 'channel')} ({', '.join(made.channel_names)})"
    console.say(
        f"{dataset}: {counted(made.cases, 'case')} of {counted(made.subjects, 'subject')}, {channels}, from the layout"
        f" {made.layout}: {made.folder}"
    )
    for value, (label, voxels) in enumerate(made.voxels.items(), 1):
        console.say(f"  {label}: {voxels} voxels, {voxels / made.cases:.0f} per case" if value <= 20 else f"  {label}")
    console.say(f"done in {time.perf_counter() - started:.1f} s; next: hippopt_plan {workspace.short_name(dataset)}")


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
