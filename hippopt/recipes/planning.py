"""Verify, fingerprint, plan and preprocess a data set."""

from dataclasses import dataclass
from typing import Literal

from hippopt.artifacts.codec import write_json
from hippopt.artifacts.dataset import load_dataset
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.writable_folder import check_writable
from hippopt.console import Console
from hippopt.planning.fold_coverage import uncovered_labels
from hippopt.stages.extract_fingerprint import extract_fingerprint
from hippopt.stages.verify_dataset import verify_dataset
from hippopt.training.lock import check_free
from hippopt.workspace import Workspace


@dataclass(frozen=True)
class PlanningRequest:
    """What the user asked of hippopt_plan. `memory_gb`: None for what the machine has."""

    jobs: int
    settings: tuple[str, ...] = ()
    memory_gb: float | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    verify_only: bool = False
    preprocess: bool = True
    fix_headers: bool = False
    overwrite: bool = False


def plan_dataset(workspace: Workspace, name: str, request: PlanningRequest, console: Console) -> Plan | None:
    """The plan, written and said aloud, with the cases preprocessed; None after `verify_only`. Raises HippoptError's kinds."""
    if not request.verify_only:
        check_writable(workspace.plan(name).parent)
    if request.preprocess and not request.verify_only:
        check_writable(workspace.preprocessed(name))
        if request.overwrite:
            check_free(workspace.locks(name), str(workspace.preprocessed(name)))
    dataset = load_dataset(workspace.dataset_folder(name))
    surveys = verify_dataset(dataset, request.jobs, console, request.fix_headers)
    console.say(f"{name}: {len(dataset.cases)} cases of {len({c.subject for c in dataset.cases})} subjects verified, no faults")
    if request.verify_only:
        return None
    fingerprint = extract_fingerprint(dataset, surveys)
    for warning in fingerprint.warnings:
        console.warn(warning)
    # torch is only needed from here on
    from hippopt.networks.device import choose_device, memory_gb
    from hippopt.planning.decisions import Machine
    from hippopt.stages.make_plan import make_plan
    from hippopt.stages.preprocess import preprocess

    device, note = choose_device(request.device)
    machine = Machine("cuda" if device.type == "cuda" else "cpu", request.memory_gb or memory_gb(device))
    plan = make_plan(fingerprint, workspace.plan(name), machine, list(request.settings), console, request.overwrite)
    write_json(workspace.fingerprint(name), fingerprint)
    for warning in uncovered_labels(plan.folds, fingerprint):
        console.warn(warning)
    console.say(f"plan for {machine.memory_gb:.1f} GB {note}: {workspace.plan(name)}")
    _say_decisions(plan, console)
    if request.preprocess:
        made, kept = preprocess(dataset, fingerprint, plan, workspace.preprocessed(name), request.jobs, console, request.overwrite)
        console.say(f"preprocessed {made} cases, kept {kept}: {workspace.preprocessed(name)}")
    return plan


def _network(plan: Plan) -> str:
    """Its size, and what is not as usual."""
    network = plan.network
    tokens = f", tokens of {network.token_size}" if network.token_size != 16 else ""
    return f"{network.size}{tokens}{'' if network.transformer else ', no transformer'}"


def _say_decisions(plan: Plan, console: Console) -> None:
    spacing, patch = (" x ".join(f"{value:g}" for value in triple) for triple in (plan.target_spacing_mm, plan.patch_size))
    for key, value in (
        ("target_spacing_mm", f"{spacing} (Z, Y, X)"), ("crop", plan.crop), ("normalisation", f"z-score over {plan.normalisation.region}"),
        ("patch_size", f"{patch} (Z, Y, X)"), ("batch_size", plan.batch_size), ("network", _network(plan)),
        ("augmentation", f"flips {list(plan.flip_axes)}"), ("folds", len(plan.folds)),
        ("locator", f"{plan.locator.spacing_mm:g} mm" if plan.locator else "none"), ("mirror_sides", str(plan.mirror_sides).lower()),
        ("part_borders", str(plan.part_borders).lower()), ("straighten_degrees", plan.straighten_degrees),
    ):  # fmt: skip
        edited = [name for name in plan.reasons if name.startswith(f"{key}.")]
        why = f"set by the user: {', '.join(edited)}" if edited else plan.reasons.get(key, "")
        console.say(f"  {key}: {value} -- {why}")
