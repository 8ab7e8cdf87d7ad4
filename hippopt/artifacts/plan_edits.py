"""Edits of a plan and of other records: applied by key, and shown as differences."""

import json
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hippopt.artifacts.case_tables import near_names
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.synthesis import SynthesisSettings
from hippopt.errors import PlanError

R = TypeVar("R")
NUMBER = re.compile(r"[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?")  # .5 and 5. are numbers to all but JSON


def plan_changes(old: Plan, new: Plan) -> list[str]:
    """The decisions that differ, each as `key: old -> new`; reasons are left out."""
    return _changes(msgspec.to_builtins(old), msgspec.to_builtins(new), "")


def _changes(old: Any, new: Any, key: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        names = [name for name in dict.fromkeys([*old, *new]) if key or name != "reasons"]
        return [line for name in names for line in _changes(old.get(name), new.get(name), f"{key}.{name}" if key else name)]
    if old == new:
        return []
    texts = [json.dumps(value) for value in (old, new)]
    return [f"{key}: {texts[0]} -> {texts[1]}" if sum(map(len, texts)) < 100 else f"{key}: changed"]


def apply_settings(plan: Plan, settings: list[str], source: Path) -> Plan:
    """Apply `key=value` edits (keys dotted, values JSON; lists also as 48,64,48). Raises PlanError."""
    data: dict[str, Any] = msgspec.to_builtins(plan)
    for key in _set_values(data, settings, ("schema", "fingerprint_hash", "reasons"), "plan"):
        data["reasons"][key] = "set by the user"
    return _record(data, Plan, f"--set {' '.join(settings)} ({source.name})")


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
        raise PlanError(f"{text}: {error}; give another value") from None


def _set_values(data: dict[str, Any], settings: list[str], fixed: tuple[str, ...], of: str) -> list[str]:
    """Put the values into `data`; the keys that were set."""
    keys = []
    for setting in settings:
        key, equals, text = setting.partition("=")
        path = key.strip().split(".")
        if not equals:
            raise PlanError(f"--set {setting}: no value; write key=value")
        parent: Any = data
        for depth, part in enumerate(path):
            if not depth and part in fixed:
                raise PlanError(f"--set {setting}: {part} of the {of} cannot be set")
            known = [name for name in parent if depth or name not in fixed] if isinstance(parent, dict) else []
            if part not in known:
                where = f"{of}'s {'.'.join(path[:depth])}" if depth else of
                near = near_names(part, known) or (f"; there are {', '.join(known)}" if known else "; it has no keys of its own")
                raise PlanError(f"--set {setting}: no {part!r} in the {where}{near}")
            parent = parent[part] if depth < len(path) - 1 else parent
        parent[path[-1]] = _parse_value(text, parent[path[-1]])
        keys.append(key.strip())
    return keys


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
