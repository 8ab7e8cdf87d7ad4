"""Stage 3: decide, or keep and check what was decided before."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hippopt.artifacts.codec import load_record, write_json
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import TOKEN_SIZES, Plan
from hippopt.artifacts.plan_edits import apply_settings, lost_edits, plan_changes, reset_keys
from hippopt.artifacts.plan_rules import check_plan
from hippopt.console import Console, counted
from hippopt.errors import HippoptError, PlanError
from hippopt.networks.memory import training_bytes
from hippopt.networks.unetr import SIZES
from hippopt.planning.decisions import Machine, decide
from hippopt.planning.splits import read_splits

SHOWN = 5


@dataclass(frozen=True)
class PlanEdits:
    """What a person decides. settings: `key=value`; reset: keys that planning decides again; splits: a file of folds.

    grown: the existing plan, already carried over to a data set that grew by corrections.
    """

    settings: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    splits: Path | None = None
    grown: Plan | None = None


def make_plan(
    fingerprint: Fingerprint,
    path: Path,
    machine: Machine,
    edits: PlanEdits,
    console: Console,
    overwrite: bool = False,
    earlier: Fingerprint | None = None,
) -> Plan:
    """Write `plan.json`. An existing plan of the same data is kept with a person's edits, and `edits` are applied to
    it.

    Args:
        fingerprint: of the data set.
        path: where the plan goes.
        machine: the memory and the device to plan for.
        edits: what a person decides.
        console: decisions and their reasons go here.
        overwrite: plan anew, without the edits that the existing plan holds.
        earlier: the fingerprint that an existing plan was made of, by which a person's edits are told from what
            planning decided.

    Returns:
        The plan.

    Raises:
        StaleArtifactError: the existing plan belongs to other data, and `overwrite` is not given.
        PlanError: an edit breaks a rule.
    """
    size, token, rest = _of_network(edits.settings)
    if path.exists() and not overwrite:
        old = edits.grown or load_record(path, Plan, "hippopt_plan")
        if not edits.reset and edits.splits is None:
            check_plan(old, path, fingerprint)
        wanted = msgspec.structs.replace(SIZES[size], transformer=old.network.transformer) if size else old.network
        if old.network != msgspec.structs.replace(wanted, token_size=token or old.network.token_size):
            raise PlanError(
                f"{path}: planned for another network, and its batch and patch size follow from it; add --overwrite"
            )
        plan = _reset(old, edits.reset, fingerprint, machine, path)
        plan = _with_folds(plan, edits.splits, fingerprint, console)
        plan = apply_settings(plan, rest, path) if rest else plan
        check_plan(plan, path, fingerprint)
        _check_memory(plan, machine, path, edits.settings, console)
        changes = plan_changes(old, plan)
        console.say(f"{path}: kept" + (f", changed {'; '.join(changes)}" if changes else "; --overwrite makes it anew"))
    else:
        seed = next((setting.partition("=")[2] for setting in rest if setting.startswith("seed=")), "0")
        plan = decide(fingerprint, machine, int(seed) if seed.isdigit() else 0, SIZES[size] if size else None, token)
        plan = _with_folds(plan, edits.splits, fingerprint, console)
        plan = apply_settings(plan, rest, path) if rest else plan
        check_plan(plan, path, fingerprint)
        _check_memory(plan, machine, path, edits.settings, console)
        _say_lost_edits(path, plan, machine, earlier, console)
    _warn_of_steps(rest, plan, console)
    write_json(path, plan)
    return plan


def _check_memory(plan: Plan, machine: Machine, path: Path, settings: Sequence[str], console: Console) -> None:
    """Hold a plan that a person edited against the memory.

    Raises PlanError where the edit was asked for now, else warns.
    """
    needed = training_bytes(
        plan.network, len(plan.channel_names), len(plan.network_classes), plan.patch_size, plan.batch_size
    )
    if needed <= machine.memory_gb * 1e9:
        return
    words = (
        f"{path}: batch_size {plan.batch_size} and patch_size {' x '.join(map(str, plan.patch_size))} need about"
        f" {needed / 1e9:.1f} GB to train, and there are {machine.memory_gb:.1f} GB to plan with; set a smaller"
        " batch_size or patch_size, or give --memory-gb of the machine that will train"
    )
    if settings:
        raise PlanError(words)
    console.warn(words)


def _of_network(settings: Sequence[str]) -> tuple[str | None, int | None, list[str]]:
    """(size, token size, the other settings): what batch and patch
    size follow from is decided before them. Raises PlanError.
    """
    given = {key: value for key, _, value in (setting.partition("=") for setting in settings)}
    size, token = given.get("network.size"), given.get("network.token_size")
    if size is not None and size not in SIZES:
        raise PlanError(f"--set network.size={size}: choose one of {', '.join(SIZES)}")
    if token is not None and token not in map(str, TOKEN_SIZES):
        raise PlanError(f"--set network.token_size={token}: choose one of {', '.join(map(str, TOKEN_SIZES))}")
    rest = [setting for setting in settings if setting.partition("=")[0] not in ("network.size", "network.token_size")]
    return size, int(token) if token else None, rest


def _reset(plan: Plan, keys: tuple[str, ...], fingerprint: Fingerprint, machine: Machine, path: Path) -> Plan:
    """The plan with these keys as planning decides them. Raises PlanError."""
    if not keys:
        return plan
    fresh = _planned(plan, fingerprint, machine)
    if (
        any(key.partition(".")[0] == "network" for key in keys)
        and plan.network != decide(fingerprint, machine, plan.seed).network
    ):
        raise PlanError(
            f"{path}: planned for another network, and its batch and patch size follow from it; --overwrite plans anew"
            " instead of --reset"
        )
    if "seed" in keys:
        fresh = msgspec.structs.replace(fresh, seed=0)
    return reset_keys(plan, keys, fresh)


def _planned(plan: Plan, fingerprint: Fingerprint, machine: Machine) -> Plan:
    """What planning by itself decides with the plan's seed and network."""
    found = decide(fingerprint, machine, plan.seed)
    return found if found.network == plan.network else decide(fingerprint, machine, plan.seed, plan.network)


def _with_folds(plan: Plan, splits: Path | None, fingerprint: Fingerprint, console: Console) -> Plan:
    """The plan with the folds of a file. Raises PlanError."""
    if splits is None:
        return plan
    folds, unused = read_splits(splits, [case.id for case in fingerprint.cases])
    if unused:
        console.warn(
            f"{splits}: no fold holds {counted(len(unused), 'case')} of the data set"
            f" ({', '.join(unused[:3])}{', ...' if len(unused) > 3 else ''})"
        )
    return msgspec.structs.replace(plan, folds=folds, reasons={**plan.reasons, "folds": f"as in {splits.name}"})


def _warn_of_steps(settings: list[str], plan: Plan, console: Console) -> None:
    """Whoever sets `steps` alone may not know that a fold from a base goes by another number."""
    keys = {setting.partition("=")[0].strip() for setting in settings}
    on_base = plan.schedule.steps_on_base
    if (
        "schedule.steps" in keys
        and "schedule.steps_on_base" not in keys
        and on_base is not None
        and on_base != plan.schedule.steps
    ):
        console.warn(
            "schedule.steps counts from random weights; from a base a fold takes schedule.steps_on_base, which stays"
            f" {on_base}"
        )


def _say_lost_edits(path: Path, plan: Plan, machine: Machine, earlier: Fingerprint | None, console: Console) -> None:
    """Planning anew drops a person's edits: say which, and how to make them again."""
    try:
        old = load_record(path, Plan, "hippopt_plan")
        known = earlier if earlier is not None and earlier.dataset_hash == old.fingerprint_hash else None
        planned = _planned(old, known, machine) if known else None
    except HippoptError:
        return  # none there, or one that cannot be read
    lost = lost_edits(old, planned, plan)
    if lost:
        more = f"; and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        console.warn(
            f"{path}: made anew, edits of the old one are gone: {'; '.join(lost[:SHOWN])}{more}; set them again with"
            " --set"
        )
