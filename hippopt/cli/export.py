"""hippopt_export: a trained run as one file."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.console import counted
from hippopt.workspace import Workspace

if TYPE_CHECKING:
    from hippopt.artifacts.model_file import ModelManifest


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_export",
        "Write a run, or what hippopt_best chose, and all that prediction with it needs into one file, for"
        " hippopt_install elsewhere.",
    )
    parser.add_argument("dataset", metavar="DATASET", help="4, 004, Name or Dataset004_Name")
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to write, such as model.zip")
    parser.add_argument("--run", metavar="RUN", help="which run; default: what hippopt_best chose, or the only one")
    parser.add_argument(
        "--without-base", action="store_true", help="name the base by its sha256 alone: whoever installs must have it"
    )
    parser.add_argument(
        "--with-best", action="store_true", help="take the checkpoints of the best step too (adapter_best)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE where it is there already")
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    dataset = workspace.resolve(options.dataset)
    from hippopt.networks.base_files import is_shipped
    from hippopt.recipes.model_files import export_chosen
    from hippopt.stages.export_model import ExportRequest

    request = ExportRequest(options.file, not options.without_base, options.with_best, options.overwrite)
    manifests = export_chosen(workspace, dataset, options.run, request, console)
    for manifest in manifests:
        console.say(f"run {manifest.run} of {dataset}: {_in_words(manifest)}")
    console.say(f"{options.file}: {options.file.stat().st_size / 1e6:.1f} MB")
    bases = {manifest.base.sha256: manifest.base for manifest in reversed(manifests) if manifest.base is not None}
    comes_along = all(base.included or is_shipped(base.sha256) for base in bases.values())
    needs = "" if comes_along else " --base BASE"
    console.say(f"next, where it is to be used: hippopt_install {options.file}{needs}")


def _in_words(manifest: "ModelManifest") -> str:
    from hippopt.artifacts.model_file import RUN

    run_mb = sum(member.size for member in manifest.members if member.name.startswith(RUN)) / 1e6
    base_mb = sum(member.size for member in manifest.members if not member.name.startswith(RUN)) / 1e6
    base = "trained from random weights"
    if manifest.base is not None:
        base = f"base {manifest.base.name} {manifest.base.sha256[:12]}"
        base += f" {base_mb:.1f} MB" if manifest.base.included else ", not included"
    return f"{counted(len(manifest.folds), 'fold')} {run_mb:.1f} MB, {base}"


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
