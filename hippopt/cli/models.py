"""hippopt_models: which models there are to predict with, those that ship and those of the workspace."""

import argparse
import sys

from hippopt.cli.command import add_json, make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "hippopt_models",
        "List the models that hippopt_predict --model takes: those that ship, each with its card, and the runs of the"
        " workspace, trained or installed.",
    )
    add_json(parser)
    return parser


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> None:
    from msgspec import to_builtins

    from hippopt.recipes.model_files import say_figures
    from hippopt.recipes.ready_models import known_models, nothing_trained

    models = known_models(workspace)
    for model in models:
        if model.card is None:
            console.say(f"{model.name}: in {model.place}")
            say_figures(workspace, model.place.parent.name, model.place.name, console)
            continue
        card = model.card
        size = model.place.stat().st_size / 1e6
        console.say(f"{model.name}: ships with hippopt, {size:.1f} MB, for {card.scans}")
        console.say(f"  labels: {', '.join(f'{value} {name}' for name, value in card.labels.items() if value)}")
        console.say(f"  made from: {card.made_from}")
        console.say(f"  licence: {card.licence}")
        console.say(f"  attribution: {card.attribution}")
        for figure in card.measured:
            console.say(f"  {figure.on}: {figure.what} {figure.value}")
    if not models:
        console.say("no model: none ships with this hippopt, and nothing is trained or installed here")
    elif nothing_trained(workspace) and models[0].card is not None:
        console.say(f"hippopt_predict without -d and --model takes {models[0].name}, since nothing is trained here")
    console.result(
        models=[
            {
                "name": model.name,
                "path": str(model.place),
                "ships": model.card is not None,
                "card": to_builtins(model.card),
            }
            for model in models
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
