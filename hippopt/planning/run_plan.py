"""The plan and the name of a run: what its method, and the options of hippopt_train, make of the data set's plan."""

import msgspec

from hippopt.artifacts.methods import METHODS, Method
from hippopt.artifacts.plan import KERNEL_ADAPTER, STACKS, Plan
from hippopt.artifacts.plan_rules import check_adaptable, check_plan
from hippopt.errors import PlanError

# intensities of a student that learns from masks: what its teacher found in a scan, it has to find in a worse one
STRONGER: dict[str, object] = {
    "p_noise": 0.3,
    "p_blur": 0.4,
    "p_brightness": 0.3,
    "p_contrast": 0.3,
    "p_low_resolution": 0.4,
    "p_gamma": 0.5,
    "gamma": (0.6, 1.7),
}


def run_name(method: Method, rank: int | dict[str, int], name: str) -> str:
    """Method, rank where there is one (`r4`, or `r1-4-8` by stack), and the user's own name."""
    ranks = str(rank) if isinstance(rank, int) else "-".join(str(rank[stack]) for stack in STACKS if stack in rank)
    return "-".join(part for part in (method, f"r{ranks}" if METHODS[method].ranked else "", name) if part)


def adjusted_plan(
    plan: Plan,
    method: Method,
    rank: int | None,
    learning_rate: float | None,
    no_transformer: bool = False,
    kernels: bool = False,
    stronger: bool = False,
) -> Plan:
    """The plan of a run: with the rank and the method's learning rate that the user asked for, without a transformer,
    with the factors on the kernels of the convolutions, or with stronger augmentation. Raises PlanError.
    """
    if kernels and not METHODS[method].kernels:
        able = ", ".join(name for name, traits in METHODS.items() if traits.kernels)
        raise PlanError(f"--kernels: {method} has no factors for the kernels of convolutions; use --method {able}")
    if kernels:
        plan = msgspec.structs.replace(plan, adapter=msgspec.structs.replace(plan.adapter, **KERNEL_ADAPTER))
    if stronger:
        plan = msgspec.structs.replace(plan, augmentation=msgspec.structs.replace(plan.augmentation, **STRONGER))
    if no_transformer:
        plan = msgspec.structs.replace(plan, network=msgspec.structs.replace(plan.network, transformer=False))
    if rank is not None:
        plan = check_plan(
            msgspec.structs.replace(plan, adapter=msgspec.structs.replace(plan.adapter, rank=rank)), f"--rank {rank}"
        )
    if learning_rate is not None:
        rates = {**plan.schedule.learning_rate, method: learning_rate}
        schedule = msgspec.structs.replace(plan.schedule, learning_rate=rates)
        if method == "full":
            schedule = msgspec.structs.replace(schedule, full_rate_on_base=None)
        plan = check_plan(msgspec.structs.replace(plan, schedule=schedule), f"--learning-rate {learning_rate}")
    check_adaptable(plan, method)
    if METHODS[method].one_rank and not isinstance(plan.adapter.rank, int):
        raise PlanError(
            f"adapter.rank: {plan.adapter.rank}; {method} shares one budget over all layers: give one number with"
            " --rank"
        )
    return plan
