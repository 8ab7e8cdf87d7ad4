"""Requests as command lines and back: every field of a request's record is an option of the same name."""

import argparse
import sys
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from hippopt.workspace import Workspace

if TYPE_CHECKING:
    from hippopt.inference.request import PredictionRequest
    from hippopt.training.request import TrainingRequest

Request = TypeVar("Request")


def read_request(kind: type[Request], options: argparse.Namespace, **decided: object) -> Request:
    """Make a request of parsed options.

    Args:
        kind: the record; each of its fields is looked up in `options` by its name.
        options: what argparse found.
        decided: values that are not simply the option's, by field.

    Raises:
        AttributeError: a field is no option of the command (the tests go through all of them).
    """
    values = {each.name: getattr(options, each.name) for each in fields(kind) if each.name not in decided}  # type: ignore[arg-type]
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return kind(**values | lists | decided)


def read_shared_request(kind: type[Request], options: argparse.Namespace, **decided: object) -> Request:
    """Make the request of a command that has only some of its options: a field without an option keeps its default.

    Args:
        kind: the record of another command's request.
        options: what argparse found.
        decided: values that are not simply the option's, by field.
    """
    absent = (each for each in fields(kind) if not hasattr(options, each.name) and each.name not in decided)  # type: ignore[arg-type]
    return read_request(kind, options, **{each.name: each.default for each in absent}, **decided)


def request_arguments(request: object) -> list[str]:
    """Write a request as arguments that `read_request` makes the same request of; options at their default are left
    out.

    A field's metadata may say `option` (`-i` for `source`) and `none` (the word that stands for None where leaving the
    option out would mean something else).
    """
    found: list[str] = []
    for each in fields(request):  # type: ignore[arg-type]
        value, none = getattr(request, each.name), each.metadata.get("none")
        if value is None and none is not None:
            found += [option_of(each), none]
        elif value is True:
            found.append(option_of(each))
        elif value is not None and value is not False and (each.default is MISSING or value != each.default):
            found += _given(option_of(each), value)
    return found


def _given(option: str, value: object) -> list[str]:
    if isinstance(value, tuple):
        return [option, *map(str, value)]
    text = str(value)
    return [f"{option}={text}"] if text.startswith("-") else [option, text]  # `--name -x` would be read as two options


def option_of(field: "Field[Any]") -> str:
    """Name the option of a request's field: `--allow-seen` for `allow_seen`, or what its metadata says."""
    return str(field.metadata.get("option") or f"--{field.name.replace('_', '-')}")


def train_command(workspace: Workspace, dataset: str, fold: str, request: "TrainingRequest") -> tuple[str, ...]:
    """Write hippopt_train of one fold as the command of a process of its own."""
    return (*_command("train"), dataset, fold, "--root", str(workspace.root), *request_arguments(request))


def predict_command(workspace: Workspace, dataset: str, request: "PredictionRequest") -> tuple[str, ...]:
    """Write hippopt_predict as the command of a process of its own."""
    return (*_command("predict"), "-d", dataset, "--root", str(workspace.root), *request_arguments(request))


def _command(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"hippopt.cli.{name}")
