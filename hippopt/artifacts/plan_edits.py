"""Edits of a plan and of other records: applied by key, and shown as differences."""

import json
from pathlib import Path
from typing import Any

import msgspec

from hippopt.artifacts.codec import decode
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.synthesis import SynthesisSettings
from hippopt.errors import PlanError


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
    return decode(data, Plan, Path(f"--set {' '.join(settings)} ({source.name})"))


def apply_synthesis_settings(synthesis: SynthesisSettings, settings: list[str]) -> SynthesisSettings:
    """`apply_settings` for how scans are made from label maps. Raises PlanError."""
    data: dict[str, Any] = msgspec.to_builtins(synthesis)
    _set_values(data, settings, ("patch_size",), "synthesis settings")
    return decode(data, SynthesisSettings, Path(f"--set {' '.join(settings)}"))


def _set_values(data: dict[str, Any], settings: list[str], fixed: tuple[str, ...], of: str) -> list[str]:
    """Put the values into `data`; the keys that were set."""
    keys = []
    for setting in settings:
        key, equals, text = setting.partition("=")
        path = key.strip().split(".")
        parent: Any = data
        for part in path[:-1]:
            parent = parent.get(part) if isinstance(parent, dict) else None
        if not equals or not isinstance(parent, dict) or path[-1] not in parent or path[0] in fixed:
            known = ", ".join(name for name in data if name not in fixed)
            raise PlanError(f"--set {setting}: unknown key or no value; write key=value with a key of the {of} ({known})")
        parent[path[-1]] = _parse_value(text, parent[path[-1]])
        keys.append(key.strip())
    return keys


def _parse_value(text: str, old: Any) -> Any:
    if isinstance(old, list | tuple) and not text.lstrip().startswith("["):
        text = "[" + ",".join(part if _is_json(part) else json.dumps(part.strip()) for part in text.split(",") if part.strip()) + "]"
    return json.loads(text) if _is_json(text) else text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
