"""Several processes that train one network together, as `torchrun`
starts them: each takes batches of its own, gradients are averaged.
"""

import os
from collections.abc import Iterable

import torch
from torch import nn


class ProcessGroup:
    """The processes that train together; one alone where none was joined."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def first(self) -> bool:
        """Whether this process writes the files and speaks."""
        return self.rank == 0

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the mean over the processes into each gradient: all go through the same step."""
        if self.size == 1:
            return
        import torch.distributed as distributed

        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def agree(self, wanted: bool) -> bool:
        """Whether any process wants it: all then do the same."""
        return self.broadcast_max(float(wanted)) > 0

    def broadcast_max(self, value: float) -> float:
        """The largest value of all processes."""
        if self.size == 1:
            return value
        import torch.distributed as distributed

        shared = torch.tensor([value], dtype=torch.float64)
        if distributed.get_backend() == "nccl":
            shared = shared.cuda()
        distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
        return float(shared)

    def leave(self) -> None:
        """End the group."""
        if self.size > 1:
            import torch.distributed as distributed

            distributed.destroy_process_group()


def join_processes(device: str) -> ProcessGroup:
    """Join what torchrun started, by its environment variables; one process alone without them. device: cpu or cuda."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ProcessGroup()
    import torch.distributed as distributed

    if device == "cuda":  # before the group is made: NCCL takes the current device
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    return ProcessGroup(distributed.get_rank(), size)
