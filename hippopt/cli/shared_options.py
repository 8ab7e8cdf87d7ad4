"""Options that several commands take: each is written once, so that it means the same everywhere."""

import argparse
from pathlib import Path


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device to a command that trains or segments."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to compute; auto: on the GPU where there is one",
    )


def add_label_maps(parser: argparse.ArgumentParser, folders: str, held_out: str, required: bool = False) -> None:
    """Add --synthetic, --label-table and --hold-out to a command that makes scans from label maps.

    folders, held_out: the help of --synthetic and of --hold-out. required: whether the command needs label maps; where
    it does not, no folders are an empty list.
    """
    parser.add_argument("--synthetic", type=Path, nargs="+", required=required, default=[], metavar="DIR", help=folders)
    parser.add_argument(
        "--label-table",
        type=Path,
        metavar="FILE",
        help="what the maps' values mean: value, name, tissue, class; default: FreeSurfer's",
    )
    parser.add_argument("--hold-out", type=int, default=2, metavar="N", help=held_out)


def add_prediction_options(parser: argparse.ArgumentParser, probabilities: str, uncertainty: str) -> None:
    """Add what hippopt_predict and hippopt_bids share, each option a field of `PredictionRequest`.

    probabilities, uncertainty: the names of the maps that the command writes, for the help.
    """
    parser.add_argument(
        "-f",
        "--folds",
        nargs="+",
        metavar="FOLD",
        help="folds to ensemble; default: the numbered ones that are trained, or else full-data and its further fits",
    )
    parser.add_argument("--tta", action="store_true", help="average over the flips of training too")
    parser.add_argument(
        "--save-probabilities", action="store_true", help=f"write {probabilities} too (4D, one volume per class)"
    )
    parser.add_argument(
        "--save-uncertainty",
        action="store_true",
        help=f"write {uncertainty} too: entropy of the mean probabilities, 0 (certain) to 1",
    )
    parser.add_argument("--overwrite", action="store_true", help="segment scans anew whose mask is there already")
    parser.add_argument(
        "--verify", action="store_true", help="open and measure every mask that is there already, unchanged or not"
    )
    parser.add_argument(
        "--head-size",
        type=Path,
        metavar="TABLE",
        help=(
            "table of intracranial volumes in mm³ from elsewhere (such as FreeSurfer's eTIV), by scan or participant,"
            " in place of measured head sizes"
        ),
    )
    add_device(parser)
