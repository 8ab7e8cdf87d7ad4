"""Stage 3: decide, or keep and check what was decided before."""

from pathlib import Path

import msgspec

from hippopt.artifacts.codec import load_record, write_json
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import TOKEN_SIZES, Plan
from hippopt.artifacts.plan_edits import apply_settings, plan_changes
from hippopt.artifacts.plan_rules import check_plan, load_plan
from hippopt.console import Console
from hippopt.errors import PlanError
from hippopt.networks.memory import training_bytes
from hippopt.networks.unetr import SIZES
from hippopt.planning.decisions import Machine, decide


def make_plan(
    fingerprint: Fingerprint, path: Path, machine: Machine, settings: list[str], console: Console, overwrite: bool = False
) -> Plan:
    """Write `plan.json`. An existing plan of the same data is kept with a person's edits, and `settings` are applied to it.

    Args:
        fingerprint: of the data set.
        path: where the plan goes.
        machine: the memory and the device to plan for.
        settings: edits as `key=value`, as --set takes them.
        console: decisions and their reasons go here.
        overwrite: plan anew, without the edits.

    Returns:
        The plan.

    Raises:
        StaleArtifactError: the existing plan belongs to other data, and `overwrite` is not given.
        PlanError: an edit breaks a rule.
    """
    size, token, rest = _of_network(settings)
    if path.exists() and not overwrite:
        old = load_plan(path, fingerprint)
        wanted = msgspec.structs.replace(SIZES[size], transformer=old.network.transformer) if size else old.network
        if old.network != msgspec.structs.replace(wanted, token_size=token or old.network.token_size):
            raise PlanError(f"{path}: planned for another network, and its batch and patch size follow from it; add --overwrite")
        plan = apply_settings(old, rest, path) if rest else old
        check_plan(plan, path, fingerprint)
        changes = plan_changes(old, plan)
        console.say(f"{path}: kept" + (f", changed {'; '.join(changes)}" if changes else "; --overwrite makes it anew"))
    else:
        seed = next((setting.partition("=")[2] for setting in rest if setting.startswith("seed=")), "0")
        plan = decide(fingerprint, machine, int(seed) if seed.isdigit() else 0, SIZES[size] if size else None, token)
        plan = apply_settings(plan, rest, path) if rest else plan
        _say_changes(path, plan, console)
    check_plan(plan, path, fingerprint)
    _check_memory(plan, machine, path, settings, console)
    write_json(path, plan)
    return plan


def _check_memory(plan: Plan, machine: Machine, path: Path, settings: list[str], console: Console) -> None:
    """Hold a plan that a person edited against the memory. Raises PlanError where the edit was asked for now, else warns."""
    needed = training_bytes(plan.network, len(plan.channel_names), len(plan.network_classes), plan.patch_size, plan.batch_size)
    if needed <= machine.memory_gb * 1e9:
        return
    words = (
        f"{path}: batch_size {plan.batch_size} and patch_size {' x '.join(map(str, plan.patch_size))} need about {needed / 1e9:.1f} GB to "
        f"train, and there are {machine.memory_gb:.1f} GB to plan with; set a smaller batch_size or patch_size, or give --memory-gb of the "
        "machine that will train"
    )
    if settings:
        raise PlanError(words)
    console.warn(words)


def _of_network(settings: list[str]) -> tuple[str | None, int | None, list[str]]:
    """(size, token size, the other settings): what batch and patch size follow from is decided before them. Raises PlanError."""
    given = {key: value for key, _, value in (setting.partition("=") for setting in settings)}
    size, token = given.get("network.size"), given.get("network.token_size")
    if size is not None and size not in SIZES:
        raise PlanError(f"--set network.size={size}: choose one of {', '.join(SIZES)}")
    if token is not None and token not in map(str, TOKEN_SIZES):
        raise PlanError(f"--set network.token_size={token}: choose one of {', '.join(map(str, TOKEN_SIZES))}")
    rest = [setting for setting in settings if setting.partition("=")[0] not in ("network.size", "network.token_size")]
    return size, int(token) if token else None, rest


def _say_changes(path: Path, plan: Plan, console: Console) -> None:
    """Planning anew drops a person's edits: say which decisions differ from the plan that was there."""
    try:
        changes = plan_changes(load_record(path, Plan, "hippopt_plan"), plan)
    except PlanError:
        return  # none there, or one that cannot be read
    if changes:
        more = f"; and {len(changes) - 5} more" if len(changes) > 5 else ""
        console.warn(f"{path}: made anew, edits of the old one are gone: {'; '.join(changes[:5])}{more}; set them again with --set")
