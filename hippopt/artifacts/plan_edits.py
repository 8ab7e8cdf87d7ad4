"""Edits of a plan and of other records: applied by key, and shown as differences."""

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hippopt.artifacts.case_tables import near_names
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.right_values import right_values
from hippopt.artifacts.synthesis import SynthesisSettings
from hippopt.errors import PlanError

R = TypeVar("R", bound=msgspec.Struct)
BY_USER = "set by the user"  # a reason
FIXED = ("schema", "fingerprint_hash", "reasons")
STEPS = ("schedule.steps_on_base", "schedule.steps")
MEANT = {  # what other tools call it
    "epochs": STEPS,
    "epoch": STEPS,
    "iterations": STEPS,
    "max_iterations": STEPS,
    "lr": ("schedule.learning_rate",),
    "initial_lr": ("schedule.learning_rate",),
    "voxel_size": ("target_spacing_mm",),
    "resolution": ("target_spacing_mm",),
    "mirroring": ("augmentation.flip_axes",),
    "splits": ("folds",),
    "classes": ("labels",),
    "model": ("network.size",),
}
NUMBER = re.compile(r"[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?")  # .5 and 5. are numbers to all but JSON


def plan_changes(old: Plan, new: Plan) -> list[str]:
    """The decisions that differ, each as `key: old -> new`; reasons are left out."""
    return _changes(msgspec.to_builtins(old), msgspec.to_builtins(new), "")


def lost_edits(old: Plan, planned: Plan | None, new: Plan) -> list[str]:
    """What a person had decided in the old plan and the new one decides otherwise, each as `key: old -> new`.

    planned: what planning by itself made of the old plan's data, where that is still known; else only what --set wrote
    down is a person's.
    """
    mine = {line.partition(": ")[0] for line in plan_changes(planned, old)} if planned is not None else set()
    named = [key for key, reason in old.reasons.items() if reason == BY_USER]
    taken_over = ("fingerprint_hash", "side_classes", "augmentation.swap_labels")  # no decision of a person
    return [
        line
        for line in plan_changes(old, new)
        if (key := line.partition(": ")[0]) not in taken_over
        and (
            key in mine
            or any(key == name or key.startswith(f"{name}.") or name.startswith(f"{key}.") for name in named)
        )
    ]


def _changes(old: Any, new: Any, key: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        names = [name for name in dict.fromkeys([*old, *new]) if key or name != "reasons"]
        return [
            line for name in names for line in _changes(old.get(name), new.get(name), f"{key}.{name}" if key else name)
        ]
    if old == new:
        return []
    texts = [json.dumps(value) for value in (old, new)]
    return [f"{key}: {texts[0]} -> {texts[1]}" if sum(map(len, texts)) < 100 else f"{key}: changed"]


def apply_settings(plan: Plan, settings: list[str], source: Path) -> Plan:
    """Apply `key=value` edits (keys dotted, values JSON; lists also as 48,64,48). Raises PlanError."""
    data: dict[str, Any] = msgspec.to_builtins(plan)
    for key in _set_values(data, settings, FIXED, "plan"):
        data["reasons"][key] = BY_USER
    return _record(data, Plan, f"--set {' '.join(settings)} ({source.name})")


def reset_keys(plan: Plan, keys: Sequence[str], fresh: Plan) -> Plan:
    """Give keys (dotted) the values and reasons that they have in `fresh`, a plan that nobody edited.
    Raises PlanError.
    """
    data: dict[str, Any] = msgspec.to_builtins(plan)
    new: dict[str, Any] = msgspec.to_builtins(fresh)
    for key in (key.strip() for key in keys):
        parent, last = _find(data, key, FIXED, "plan", f"--reset {key}")
        own: Any = new
        for part in key.split(".")[:-1]:
            own = own.get(part, {})
        if last in own:
            parent[last] = own[last]
        else:  # of another hippopt, or a rate that planning names none of
            parent.pop(last)
        for name in [name for name in data["reasons"] if name == key or name.startswith(f"{key}.")]:
            del data["reasons"][name]
        data["reasons"].update(
            {name: why for name, why in new["reasons"].items() if name == key or name.startswith(f"{key}.")}
        )
    if "swap_labels" not in data["augmentation"]:  # an older plan's twins stood there
        data["side_classes"] = data["side_classes"] or new["side_classes"]
    return _record(data, Plan, f"--reset {' '.join(keys)}")


def apply_synthesis_settings(synthesis: SynthesisSettings, settings: list[str]) -> SynthesisSettings:
    """`apply_settings` for how scans are made from label maps. Raises PlanError."""
    data: dict[str, Any] = msgspec.to_builtins(synthesis)
    text = f"--set {' '.join(settings)}"
    _set_values(data, settings, ("patch_size",), "synthesis settings")
    for name, value in data.items():
        if name.startswith(("p_", "share_")) and isinstance(value, int | float) and not 0 <= value <= 1:
            raise PlanError(f"{text}: {name} {value}; a share of the scans, from 0 to 1")
    return _record(data, SynthesisSettings, text)


def _record(data: dict[str, Any], kind: type[R], text: str) -> R:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise PlanError(
            f"{text}: {error}; give another value{f': {right}' if (right := right_values(kind, error)) else ''}"
        ) from None


def _set_values(data: dict[str, Any], settings: list[str], fixed: tuple[str, ...], of: str) -> list[str]:
    """Put the values into `data`; the keys that were set."""
    keys = []
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise PlanError(f"--set {setting}: no value; write key=value")
        parent, last = _find(data, key.strip(), fixed, of, f"--set {setting}")
        parent[last] = _parse_value(text, parent[last])
        keys.append(key.strip())
    return keys


def _find(data: dict[str, Any], key: str, fixed: tuple[str, ...], of: str, text: str) -> tuple[dict[str, Any], str]:
    """(the object that holds a dotted key, the key's last part). Raises PlanError with what may have been meant."""
    path = key.split(".")
    parent: Any = data
    for depth, part in enumerate(path):
        if not depth and part in fixed:
            raise PlanError(f"{text}: {part} of the {of} cannot be set")
        known = [name for name in parent if depth or name not in fixed] if isinstance(parent, dict) else []
        if part not in known:
            where = f"{of}'s {'.'.join(path[:depth])}" if depth else of
            near = (
                _called(part, data, fixed)
                or near_names(part, known)
                or _spelled(part, data, fixed)
                or f"; there are {', '.join(known)}"
            )
            raise PlanError(f"{text}: no {part!r} in the {where}{near if known else '; it has no keys of its own'}")
        parent = parent[part] if depth < len(path) - 1 else parent
    return parent, path[-1]


def _called(word: str, data: dict[str, Any], fixed: tuple[str, ...]) -> str:
    """`; near matches: ...` among all dotted keys: those that other tools call so, or that hold the word."""
    keys, word = _keys(data, "", fixed), word.lower()
    found = [key for key in MEANT.get(word, ()) if key in keys]
    found = found or [key for key in keys if len(word) > 2 and word in key.rpartition(".")[2]]
    return f"; near matches: {', '.join(found[:4])}" if found else ""


def _spelled(word: str, data: dict[str, Any], fixed: tuple[str, ...]) -> str:
    """`; near matches: ...` among all dotted keys by the spelling of their last part."""
    last = {key.rpartition(".")[2]: key for key in reversed(_keys(data, "", fixed))}
    found = [last[name] for name in difflib.get_close_matches(word.lower(), list(last), 3)]
    return f"; near matches: {', '.join(found)}" if found else ""


def _keys(data: dict[str, Any], start: str, fixed: tuple[str, ...]) -> list[str]:
    names = [name for name in data if start or name not in fixed]
    inner = [
        key for name in names if isinstance(data[name], dict) for key in _keys(data[name], f"{start}{name}.", fixed)
    ]
    return [f"{start}{name}" for name in names] + inner


def _parse_value(text: str, old: Any) -> Any:
    if isinstance(old, list | tuple) and not text.lstrip().startswith("["):
        return [_value(part.strip()) for part in text.split(",") if part.strip()]
    return _value(text)


def _value(text: str) -> Any:
    """JSON, a number that JSON would write otherwise, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return float(text) if NUMBER.fullmatch(text.strip()) else text
