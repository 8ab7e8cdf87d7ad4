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
    parser.add_argument("--name", metavar="RUN", help="name of the run here; default: the name that it had")
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
    manifest, name = install_file(workspace, request, console)
    size = sum(member.size for member in manifest.members) / 1e6
    console.say(
        f"run {name} of {manifest.dataset}: {counted(len(manifest.folds), 'fold')}, {size:.1f} MB checked:"
        f" {workspace.run(manifest.dataset, name)}"
    )
    say_figures(workspace, manifest.dataset, name, console)
    console.say(f"next: hippopt_predict -i IN -o OUT -d {workspace.short_name(manifest.dataset)} --run {name}")


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
