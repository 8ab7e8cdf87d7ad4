"""Batches made in processes of their own, by torch's DataLoader:
the end of one is noticed at once, and all end with their parent.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from hippopt.errors import HippoptError, TrainingError
from hippopt.parent_process import end_with_parent

AHEAD = 2  # batches that each process makes before they are asked for
ENDED = "DataLoader worker"  # how torch's message begins where a process is gone


class BatchMaker(Protocol):
    """Makes batches without end; the k-th of several workers makes
    its share of them, in the order in which they take turns.
    """

    def set_thread_id(self, thread_id: int) -> None:
        """Say which of the workers this is, from 0."""

    def generate_train_batch(self) -> dict[str, Any]:
        """Make the next batch."""


class _Stream(IterableDataset[Any]):
    def __init__(self, maker: BatchMaker) -> None:
        self.maker, self.parent = maker, os.getpid()

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        assert info is not None
        self.maker.set_thread_id(info.id)
        end_with_parent(self.parent, lambda: os._exit(1))
        for number in (
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGHUP,
        ):  # the main process, which gets them too, ends its workers
            signal.signal(number, _leave_to_parent)
        while True:
            try:
                batch = self.maker.generate_train_batch()
            except (
                HippoptError,
                MemoryError,
            ) as error:  # as it is: torch would put this process's traceback into its words
                yield error
                return
            # between processes as plain arrays: a tensor would travel through shared memory, which is small in
            # containers
            yield {key: value.numpy() if isinstance(value, torch.Tensor) else value for key, value in batch.items()}


def _leave_to_parent(number: int, _: FrameType | None) -> None:
    """Do nothing; a signal that is ignored altogether would be so in libraries' own processes too."""


def _as_it_is(batch: Any) -> Any:
    return batch


@contextlib.contextmanager
def open_workers(maker: BatchMaker, workers: int) -> Iterator[Iterator[dict[str, Any]]]:
    """Open batches that `workers` processes make in turn, with arrays as tensors; the processes are ended on exit.

    Raises TrainingError, within the block, where one of the processes was ended by something else.
    """
    # a generator of its own: the seeds of torch's workers are not drawn from the one that training uses
    loader = DataLoader(
        _Stream(maker),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=AHEAD,
        collate_fn=_as_it_is,
        generator=torch.Generator(),
    )
    batches = iter(loader)
    try:
        yield (_as_tensors(batch) for batch in batches)
    except RuntimeError as error:
        if not str(error).startswith(ENDED):
            raise
        raise TrainingError(
            f"a process that made batches is gone ({str(error).splitlines()[0].strip()}); the system ends one where"
            " memory runs out: continue with --resume, and with fewer --workers (0 makes batches in the main process)"
        ) from None
    finally:
        batches._shutdown_workers()  # type: ignore[attr-defined]
        for process in batches._workers:  # type: ignore[attr-defined]
            if process.is_alive():
                process.kill()


def _as_tensors(batch: Any) -> dict[str, Any]:
    if isinstance(batch, BaseException):
        raise batch
    return {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in batch.items()}
