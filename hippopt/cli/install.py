"""hippopt_install: a model file of hippopt_export into the workspace."""

import argparse
import sys
from pathlib import Path

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.console import counted
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_install", "Check a file of hippopt_export and unpack it into results/, ready for hippopt_predict."
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE|NAME", help="a file of hippopt_export, or the name of a model that ships"
    )
    parser.add_argument(
        "--name",
        metavar="RUN",
        help="name of the run here; default: the name that it had. Several runs of one file get it as a beginning",
    )
    parser.add_argument("--base", type=Path, metavar="FILE", help="the base of a model that was exported without it")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace an installed run of this name; one that was trained here stays",
    )
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    from hippopt.recipes.model_files import InstallRequest, install_file, say_figures

    request = InstallRequest(options.file, options.name, options.base, options.overwrite)
    found = install_file(workspace, request, console)
    for name, manifest in zip(found.runs, found.manifests, strict=True):
        size = sum(member.size for member in manifest.members) / 1e6
        console.say(
            f"run {name} of {found.dataset}: {counted(len(manifest.folds), 'fold')}, {size:.1f} MB checked:"
            f" {workspace.run(found.dataset, name)}"
        )
        say_figures(workspace, found.dataset, name, console)
    chosen = workspace.best(found.dataset).exists() and len(found.runs) > 1
    run = "" if chosen else f" --run {found.runs[0]}"
    console.say(f"next: hippopt_predict -i IN -o OUT -d {workspace.short_name(found.dataset)}{run}")


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
