"""A request is one record: each of its fields is an option, and goes to child processes and to the folds as it is."""

import argparse
import importlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from hippopt.cli.requests import (
    option_of,
    predict_command,
    read_request,
    read_shared_request,
    request_arguments,
    train_command,
)
from hippopt.inference.request import PredictionRequest
from hippopt.training.fold import request_of_fold
from hippopt.training.request import TrainingRequest
from hippopt.workspace import Workspace

REQUESTS = {
    "train": TrainingRequest(method="full"),
    "predict": PredictionRequest(source=Path("in"), output=Path("out")),
}
POSITIONAL = {"train": ["Blob", "0"], "predict": []}
# what the command itself acts on, before a request is made: nothing that a fold's or a prediction's own process would
# have to know
OWN = {
    "train": {"dataset", "fold", "root", "debug", "fits", "jobs", "slurm"},
    "predict": {"dataset", "root", "debug", "model", "base", "merge", "slurm", "seconds_per_scan", "report", "json"},
}
FIELDS = [(command, each.name) for command, request in REQUESTS.items() for each in fields(request)]  # type: ignore[arg-type]


def parser_of(command: str) -> argparse.ArgumentParser:
    return importlib.import_module(f"hippopt.cli.{command}")._parser()  # type: ignore[no-any-return]


def actions_of(command: str) -> dict[str, argparse.Action]:
    return {each.dest: each for each in parser_of(command)._actions if each.dest not in ("help", "version")}


def another_value(action: argparse.Action, present: Any) -> Any:
    """A value that the option takes and that is neither its default nor the present one."""
    if action.nargs == 0:
        return True
    if action.choices is not None:
        return next(each for each in action.choices if each not in (present, action.default))
    one = (
        action.type(7)
        if callable(action.type) and action.type is not Path
        else Path("elsewhere")
        if action.type is Path
        else "some-word"
    )
    return ("3", "full-data") if action.nargs == "+" else one


def read_back(command: str, request: Any) -> Any:
    options = parser_of(command).parse_args([*POSITIONAL[command], *request_arguments(request)])
    base = {"base": None if options.base == "none" else options.base} if command == "train" else {}
    return read_request(type(request), options, **base)


@pytest.mark.parametrize(("command", "name"), FIELDS)
def test_each_field_is_an_option_and_comes_back_from_the_command_line(command: str, name: str) -> None:
    actions, request = actions_of(command), REQUESTS[command]
    assert name in actions, f"{name}: a field of {type(request).__name__} that is no option of hippopt_{command}"
    field = next(each for each in fields(request) if each.name == name)  # type: ignore[arg-type]
    assert option_of(field) in actions[name].option_strings
    changed = replace(request, **{name: another_value(actions[name], getattr(request, name))})
    assert changed != request
    assert read_back(command, changed) == changed
    assert read_back(command, request) == request


@pytest.mark.parametrize("command", REQUESTS)
def test_each_option_is_a_field_of_the_request_or_the_commands_own(command: str) -> None:
    names = {each.name for each in fields(REQUESTS[command])}  # type: ignore[arg-type]
    assert set(actions_of(command)) - OWN[command] == names
    assert not OWN[command] & names


def test_the_bids_app_shares_the_options_of_a_prediction() -> None:
    given = ["data", "out", "group", "--tta", "-f", "0", "1", "--head-size", "sizes.tsv", "--save-uncertainty"]
    request = read_shared_request(
        PredictionRequest, parser_of("bids").parse_args(given), source=Path("data"), output=Path("work")
    )
    assert request == PredictionRequest(
        Path("data"), Path("work"), ("0", "1"), tta=True, save_uncertainty=True, head_size=Path("sizes.tsv")
    )


def test_no_base_is_said_since_leaving_the_option_out_takes_the_shipped_one() -> None:
    assert "--base none" in " ".join(request_arguments(TrainingRequest(method="full")))


def test_a_value_that_looks_like_an_option_comes_back_too() -> None:
    request = TrainingRequest(method="full", name="-x")
    assert read_back("train", request) == request


def test_a_fold_takes_over_all_that_was_asked_but_what_is_decided_for_it() -> None:
    actions = actions_of("train")
    asked = TrainingRequest(
        **{each.name: another_value(actions[each.name], each.default) for each in fields(TrainingRequest)}
    )
    made = request_of_fold(asked, "run", "3", seed=11, workers=2, resume=False)
    assert (made.run, made.fold) == ("run", "3")
    for each in fields(TrainingRequest):
        expected = {"seed": 11, "workers": 2, "resume": False}.get(each.name, getattr(asked, each.name))
        assert getattr(made, each.name) == expected, each.name


def test_commands_name_the_workspace_the_data_set_and_the_fold() -> None:
    workspace = Workspace(Path("some root"))
    train = train_command(workspace, "Dataset007_Blob", "2", TrainingRequest(method="full"))
    options = parser_of("train").parse_args(list(train[3:]))
    assert (options.dataset, options.fold, options.root) == ("Dataset007_Blob", "2", Path("some root"))
    predict = predict_command(
        workspace, "Dataset007_Blob", PredictionRequest(source=Path("in"), output=Path("out"), folds=("0", "1"))
    )
    options = parser_of("predict").parse_args(list(predict[3:]))
    assert (options.dataset, options.folds, options.root) == ("Dataset007_Blob", ["0", "1"], Path("some root"))
