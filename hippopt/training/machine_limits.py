"""What a machine bears: whether a plan fits its memory, how many folds side by side, how many workers."""

from hippopt.artifacts.plan import Plan
from hippopt.console import Console
from hippopt.errors import PlanError
from hippopt.machine import core_count, machine_bytes, threads_asked
from hippopt.networks.device import choose_device
from hippopt.networks.memory import training_bytes

PROCESS_BYTES = 0.8e9  # of a process that has torch and monai loaded
SURELY_NEEDED = (
    0.4  # of the estimate for full training: it doubles what autograd saves, and methods with frozen layers save less
)
MEMORY_SHARE = 0.6  # of the machine's, for all folds that are trained side by side


def check_memory(plan: Plan, device: str, console: Console) -> None:
    """Hold the plan against the memory before anything is trained. Raises PlanError where it cannot fit, warns where it
    may not.

    A GPU takes a batch in pieces where it must, so it is not asked here.
    """
    if device != "cpu":
        return
    needed, there = (
        training_bytes(
            plan.network, len(plan.channel_names), len(plan.network_classes), plan.patch_size, plan.batch_size
        ),
        machine_bytes(),
    )
    words = (
        f"batch_size {plan.batch_size} and patch_size {' x '.join(map(str, plan.patch_size))} need about"
        f" {needed / 1e9:.1f} GB, and there are {there / 1e9:.1f}"
    )
    if SURELY_NEEDED * needed > there:
        raise PlanError(
            f"memory: {words}; train on a larger machine, or plan for this one with `hippopt_plan {plan.dataset}"
            " --overwrite`"
        )
    if needed > there:
        console.warn(f"memory: {words}; it may run out")


def folds_at_once(plan: Plan, folds: int, device: str) -> int:
    """How many folds to train side by side: on a CPU as many as there are cores and memory for, else one."""
    if choose_device(device)[0].type != "cpu":  # type: ignore[arg-type]
        return 1
    each = PROCESS_BYTES + training_bytes(
        plan.network, len(plan.channel_names), len(plan.class_names), plan.patch_size, plan.batch_size
    )
    return max(1, min(folds, core_count() // (threads_asked() or 1), int(MEMORY_SHARE * machine_bytes() / each)))


def default_workers(device: str) -> int:
    """On a CPU, training itself wants all cores; beside a GPU, up to eight processes."""
    return 0 if device == "cpu" else max(1, min(8, core_count() - 1))
