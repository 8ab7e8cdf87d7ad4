"""How long a fold will take on this machine, before it is trained."""

import os

import torch

from hippopt.artifacts.plan import Plan
from hippopt.console import Console, counted
from hippopt.networks.base_files import default_base
from hippopt.networks.device import memory_gb
from hippopt.networks.memory import training_bytes
from hippopt.networks.step_time import seconds_a_step
from hippopt.training.precision import use_bfloat16


def say_duration(plan: Plan, device: torch.device, console: Console) -> None:
    """How long a fold will take here, by steps that are timed now."""
    needed = training_bytes(
        plan.network, len(plan.channel_names), len(plan.network_classes), plan.patch_size, plan.batch_size
    )
    if needed > memory_gb(device) * 1e9:  # planned for another machine, or edited
        return
    seconds = seconds_a_step(plan, device.type, use_bfloat16(device, plan.patch_size, plan.network)[0])
    if seconds is None:
        return
    base = default_base(plan)
    steps = plan.schedule.steps_from(base is not None)
    locator = ", without its locator" if plan.locator else ""
    console.say(
        f"a fold takes about {_minutes(steps * seconds)} here by itself: {steps} steps of {seconds:.2g} s "
        f"{'from the shipped base' if base else 'from random weights'}{locator}; validation comes on top{_busy()}"
    )


def _busy() -> str:
    """A word on other work, which the figure shares the machine with."""
    load, cores = (
        os.getloadavg()[0],
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )
    return (
        f" (the machine is busy, so that less may be enough: load {load:.0f} on {counted(cores, 'core')})"
        if load > 1.5 * cores
        else ""
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else "a minute" if seconds >= 30 else "half a minute or less"
