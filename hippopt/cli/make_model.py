"""hippopt_make_model: a model for scans without labels, from label maps alone."""

import argparse
import sys
import time
from pathlib import Path

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.cli.shared_options import add_label_maps
from hippopt.errors import UsageError
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_make_model",
        "Make a model that segments both hippocampi in T1 scans of whole heads and brains, from label maps alone: a"
        " locator trained on synthetic heads made on the fly, and a base of hippopt_pretrain --synthetic as it is.",
    )
    add_label_maps(
        parser,
        "folders of label maps of whole heads, with a value for the hippocampus of either side",
        "label maps of each folder that the locator does not see",
        required=True,
    )
    parser.add_argument(
        "--base", type=Path, required=True, metavar="FILE|NAME", help="a base of hippopt_pretrain --synthetic"
    )
    parser.add_argument("--name", default="whole-head", metavar="NAME", help="name of the model")
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="FILE.zip", help="the model file; default: NAME.zip, here"
    )
    parser.add_argument("--steps", type=int, default=1200, help="of the locator's training, four heads each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with a locator whose training was interrupted")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the model; a locator that is finished with the same settings is kept",
    )
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    started = time.perf_counter()
    if options.steps < 1:
        raise UsageError(f"--steps {options.steps}: at least 1")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: not below 0")
    output = options.output or Path(f"{options.name}.zip")
    if output.suffix != ".zip":
        raise UsageError(f"-o {output}: a model file's name ends with .zip")
    from hippopt.recipes.model_making import MakingRequest, make_model

    make_model(
        workspace,
        MakingRequest(
            label_maps=tuple(options.synthetic),
            base=options.base,
            name=options.name,
            output=output,
            label_table=options.label_table,
            hold_out=options.hold_out,
            steps=options.steps,
            seed=options.seed,
            resume=options.resume,
            overwrite=options.overwrite,
        ),
        console,
    )
    console.say(f"done in {(time.perf_counter() - started) / 60:.1f} min")
    console.say(f"next: hippopt_predict -i SCANS -o OUT --model {output}")


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
