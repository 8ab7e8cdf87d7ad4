"""hippopt_bids: segment a BIDS data set, as BIDS Apps are called."""

import argparse
import sys
import time
from pathlib import Path

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.cli.requests import read_shared_request
from hippopt.cli.shared_options import add_prediction_options
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("hippopt_bids", "Segment the scans of a BIDS data set into a BIDS derivative.")
    parser.add_argument("bids_dir", type=Path, metavar="BIDS_DIR", help="root folder of the data set")
    parser.add_argument("output_dir", type=Path, metavar="OUT", help="folder of the derivative data set")
    parser.add_argument(
        "analysis_level",
        choices=("participant", "group"),
        help=(
            "participant: segment scans, in as many processes as you like; group: afterwards, one table of all of them"
        ),
    )
    parser.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="participants, with or without sub-; default: all",
    )
    parser.add_argument(
        "--session-label",
        "--session_label",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="sessions, with or without ses-; default: all",
    )
    parser.add_argument("--suffix", default="T1w", metavar="SUFFIX", help="kind of scan to segment")
    parser.add_argument(
        "--model",
        metavar="FILE|NAME|RUN",
        help=(
            "a file of hippopt_export, the name of a model that ships, a run's folder, or DATASET/RUN of the workspace;"
            " may be left out where there is only one run, or none (then the model that ships is used)"
        ),
    )
    add_prediction_options(parser, "probability maps (_probseg)", "maps (_desc-entropy_probseg)")
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> int:
    started = time.perf_counter()
    from hippopt.files.bids_layout import BidsRequest
    from hippopt.inference.request import PredictionRequest
    from hippopt.recipes.bids import BidsApp, run_group, run_participants, work_folder
    from hippopt.recipes.chosen_model import chosen_model

    settings = read_shared_request(
        PredictionRequest, options, source=options.bids_dir, output=work_folder(options.output_dir)
    )
    scans = BidsRequest(
        options.bids_dir, tuple(options.participant_label), tuple(options.session_label), options.suffix
    )
    app = BidsApp(scans, options.output_dir, settings)
    with chosen_model(workspace, options.model) as (place, dataset, name):
        failed = (run_participants if options.analysis_level == "participant" else run_group)(
            place, dataset, name, app, console
        )
    console.say(f"done in {time.perf_counter() - started:.1f} s")
    return 1 if failed else 0


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
