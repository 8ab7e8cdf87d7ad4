"""How long a training step takes on this machine: measured, not reckoned."""

import time

from hippopt.artifacts.plan import Plan
from hippopt.networks.unetr import build_unetr

LONG_S = 3.0  # a step that takes so long is timed once


def seconds_a_step(plan: Plan, device: str, bfloat16: bool) -> float | None:
    """Seconds of a step in which the whole network of the plan trains, on random numbers; None where the machine cannot
    make one.

    The first step pays for what is set up once, so the quicker of two later ones counts. What trains less takes .7 to 1
    of it.
    """
    import torch

    try:
        torch.manual_seed(0)
        model = (
            build_unetr(len(plan.channel_names), len(plan.network_classes), plan.patch_size, plan.network)
            .to(device)
            .train()
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        image = torch.rand((plan.batch_size, len(plan.channel_names), *plan.patch_size), device=device)
        label = torch.zeros((plan.batch_size, *plan.patch_size), dtype=torch.long, device=device)
        taken: list[float] = []
        while len(taken) < 3 and not (taken and taken[0] > LONG_S):
            started = time.perf_counter()
            with torch.autocast(image.device.type, torch.bfloat16, enabled=bfloat16):
                logits = model(image)
            torch.nn.functional.cross_entropy(logits.float(), label).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if image.device.type == "cuda":
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - started)
    except RuntimeError:  # no memory for it, most likely
        return None
    return min(taken[1:] or taken)
