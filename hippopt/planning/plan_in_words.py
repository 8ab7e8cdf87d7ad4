"""A plan in words: each decision with its value and its reason."""

from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_edits import BY_USER
from hippopt.console import Console, counted


def _network(plan: Plan) -> str:
    """Its size, and what is not as usual."""
    network = plan.network
    tokens = f", tokens of {network.token_size}" if network.token_size != 16 else ""
    return f"{network.size}{tokens}{'' if network.transformer else ', no transformer'}"


def _folds(plan: Plan) -> str:
    """How many, and of how many cases: more than their reason says where corrected scans joined them."""
    cases = {case for fold in plan.folds for case in (*fold.train, *fold.val)}
    return f"{len(plan.folds)}, of {counted(len(cases), 'case')}"


def say_decisions(plan: Plan, console: Console) -> None:
    """Say what was decided, one line per decision; of what the user edited, that it was."""
    spacing, patch = (
        " x ".join(f"{value:g}" for value in triple) for triple in (plan.target_spacing_mm, plan.patch_size)
    )
    share = plan.schedule.base_share_of_one_scan
    for key, value in (
        ("target_spacing_mm", f"{spacing} (Z, Y, X)"),
        ("crop", plan.crop),
        ("normalisation", f"z-score over {plan.normalisation.region}"),
        ("patch_size", f"{patch} (Z, Y, X)"),
        ("batch_size", plan.batch_size),
        ("network", _network(plan)),
        ("augmentation", f"flips {list(plan.flip_axes)}"),
        ("folds", _folds(plan)),
        ("locator", f"{plan.locator.spacing_mm:g} mm" if plan.locator else "none"),
        ("mirror_sides", str(plan.mirror_sides).lower()),
        ("part_borders", str(plan.part_borders).lower()),
        ("straighten_degrees", plan.straighten_degrees),
        ("schedule.steps", _steps(plan)),
        *([("schedule.base_share_of_one_scan", share)] if share else []),
    ):
        edited = [name for name, reason in plan.reasons.items() if name.startswith(f"{key}.") and reason == BY_USER]
        why = f"set by the user: {', '.join(edited)}" if edited else plan.reasons.get(key, "")
        console.say(f"  {key}: {value} -- {why}")


def _steps(plan: Plan) -> str:
    """What a fold takes, by what it starts from: with a base, as
    it mostly does, the plan's `steps` are not what counts.
    """
    schedule = plan.schedule
    if schedule.steps_on_base is None:
        return str(schedule.steps)
    return f"{schedule.steps_on_base} from a base (schedule.steps_on_base), {schedule.steps} from random weights"
