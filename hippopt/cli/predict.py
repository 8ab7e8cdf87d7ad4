"""hippopt_predict: segment new scans."""

import argparse
import shlex
import sys
import time
from pathlib import Path

from hippopt.artifacts.fold_names import fit_number
from hippopt.cli.command import add_json, make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.cli.requests import predict_command, read_request, request_arguments
from hippopt.cli.shared_options import add_prediction_options
from hippopt.errors import UsageError
from hippopt.machine import core_count
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_predict",
        "Segment scans with the ensemble of a trained run, or, where nothing is trained, with the model that ships.",
    )
    parser.add_argument(
        "-i", dest="source", type=Path, required=True, metavar="IN", help="a scan, or a folder of scans"
    )
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder for masks, volumes.tsv and failures.tsv",
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FILE|NAME",
        help="a file of hippopt_export to predict with as it is, without installing it, or a name that hippopt_models"
        " lists; default, where nothing is trained here: the model that ships",
    )
    parser.add_argument(
        "--base", type=Path, metavar="FILE", help="with --model: the base of a model that was exported without it"
    )
    parser.add_argument(
        "-d", "--dataset", metavar="DATASET", help="whose networks to use; may be left out where there is only one"
    )
    parser.add_argument(
        "--run", metavar="RUN", help="which run, as it is; default: what hippopt_best chose, or the only one"
    )
    parser.add_argument(
        "--checkpoint", choices=("last", "best"), default="last", help="best: chosen on its own validation cases"
    )
    parser.add_argument("--volume", type=int, metavar="K", help="volume to take of a 4D scan, from 0")
    add_prediction_options(parser, "ID_probabilities.nii.gz", "ID_uncertainty.nii.gz")
    parts = parser.add_argument_group(
        "a study in parts", "each part is a call of its own, at any time and place; docs/clusters.md tells more"
    )
    parts.add_argument("--parts", type=int, metavar="N", help="deal the scans out in N parts and segment one of them")
    parts.add_argument(
        "--part",
        type=int,
        metavar="I",
        help="which one, from 1; default: the number of the task in a scheduler's array job",
    )
    parts.add_argument(
        "--merge",
        action="store_true",
        help="join what the parts have found into volumes.tsv and failures.tsv; ends with 1 while scans are missing",
    )
    parts.add_argument(
        "--slurm",
        type=Path,
        metavar="FILE",
        help="write the script of a SLURM array job that segments all parts, and one that merges them; submits nothing",
    )
    parts.add_argument(
        "--seconds-per-scan",
        type=float,
        metavar="S",
        help="seconds that one scan takes, from which --slurm chooses the number of parts; default: an estimate",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="write OUT/report.html too: a page to look at the masks, worst first, and to rate them",
    )
    add_json(parser)
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> int:
    started = time.perf_counter()
    if options.folds is not None:
        bad = [fold for fold in options.folds if not fold.isdecimal() and not fit_number(fold)]
        if bad:
            raise UsageError(f"--folds {' '.join(bad)}: give numbers, or full-data")
    if options.part is not None and options.parts is None:
        raise UsageError(f"--part {options.part}: of how many? give --parts")
    chosen = [f"--{name}" for name in ("merge", "overwrite", "slurm") if getattr(options, name)]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other")
    if options.report and options.parts is not None and not options.merge and options.slurm is None:
        raise UsageError("--report: one part has not all scans; give it with --merge")
    if options.model is not None and (options.merge or options.slurm is not None):
        raise UsageError(
            "--model with --merge or --slurm: install the model first with hippopt_install, so that all parts find it"
        )
    _choose_shipped(options, workspace, console)
    dataset = "" if options.model is not None else _dataset(options, workspace)
    from hippopt.inference.request import PredictionRequest
    from hippopt.recipes.prediction import merge_scans, predict_scans

    request = read_request(PredictionRequest, options)
    if options.slurm is not None:
        from hippopt.recipes.cluster_jobs import ScriptRequest, write_study

        here = Workspace(options.root.absolute())
        asked = ["-d", dataset, "--root", str(options.root), *request_arguments(request), "--slurm", str(options.slurm)]
        asked += ["--report"] if options.report else []
        asked += [] if options.seconds_per_scan is None else ["--seconds-per-scan", f"{options.seconds_per_scan:g}"]
        script = ScriptRequest(
            options.slurm, shlex.join(["hippopt_predict", *asked]), options.seconds_per_scan, options.report
        )
        write_study(workspace, dataset, request, script, lambda asked: predict_command(here, dataset, asked), console)
        return 0
    if options.model is not None:
        from hippopt.recipes.model_files import predict_from_file

        failed = predict_from_file(options.model, options.base, request, console)
    else:
        failed = (merge_scans if options.merge else predict_scans)(workspace, dataset, request, console)
    if options.report:
        from hippopt.recipes.cohort_report import CohortReportRequest, cohort_report, masks_in

        if masks_in(options.output):
            cohort_report(CohortReportRequest(options.source, options.output, jobs=core_count()), console)
        else:
            console.warn(f"--report: {options.output} holds no mask, so there is no page to write")
    if options.json:
        from hippopt.reporting.pages.cohort_facts import tables_for_programs

        console.result(**tables_for_programs(options.output), seconds=round(time.perf_counter() - started, 1))
    console.say(f"done in {time.perf_counter() - started:.1f} s")
    return 1 if failed else 0


def _choose_shipped(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    """Take the model that ships where nothing was asked for and nothing is trained; find an installed one's name.

    Raises UsageError where parts of a study would need it installed.
    """
    from hippopt.recipes.ready_models import default_model, installed_run, model_file

    if options.model is not None:
        there = model_file(str(options.model)).exists()
        here = None if there else installed_run(workspace, str(options.model))
        if here is not None:
            if options.dataset is not None or options.run is not None:
                raise UsageError(f"--model {options.model}: names data set and run; leave -d and --run out")
            options.model, options.dataset, options.run = None, *here
        return
    if options.dataset is not None or options.run is not None or options.base is not None:
        return
    found = default_model(workspace)
    if found is None:
        return
    if options.merge or options.slurm is not None or options.parts is not None:
        raise UsageError(
            "nothing is trained here: for a study in parts install the model that ships first, with hippopt_install"
            f" {found.stem}"
        )
    options.model = found
    console.say(
        f"nothing is trained here: taking {found.stem}, which ships with hippopt; hippopt_models shows its card"
    )


def _dataset(options: argparse.Namespace, workspace: Workspace) -> str:
    """The data set whose run predicts. Raises UsageError, with what to do where a model file was named in its place."""
    given = options.dataset
    if options.base is not None:
        raise UsageError(f"--base {options.base}: only with --model FILE; a run here has its base in the workspace")
    if given is not None and (Path(given).is_file() or Path(given).suffix.lower() == ".zip"):
        raise UsageError(
            f"-d {given}: a file; to predict with a model file: --model {given}; to keep it here: hippopt_install"
            f" {given}"
        )
    return workspace.resolve(given)


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
