"""Ways to fine-tune: what each trains and what it needs. The commands, the plan's rules and the tests derive from this table."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

from hippopt.errors import UsageError

Method = Literal["lora-pt", "decoder", "full", "bitfit", "layernorm", "lora", "dora", "pissa", "adalora", "published"]


@dataclass(frozen=True)
class MethodTraits:
    """One way to fine-tune.

    trains: in words. rate: learning rate of a plan that names none. parts: of networks/unetr.py, trained besides an adapter; None:
    the plan's `also_trained`. adapter: who makes low-rank factors, if any. decomposes: starts from singular vectors of the base, stored
    once a run. trains_remade: whether what had to be re-made for the labels trains too. known_steps: plans over all its steps.
    """

    trains: str
    rate: float
    parts: tuple[str, ...] | None = None
    adapter: Literal["lora-pt", "peft"] | None = None
    decomposes: bool = False
    needs_base: bool = True
    trains_remade: bool = True
    known_steps: bool = False

    @property
    def ranked(self) -> bool:
        """Whether `--rank` means something."""
        return self.adapter is not None


METHODS: dict[Method, MethodTraits] = {
    "lora-pt": MethodTraits("principal tensor factors of the stacked weights, decoder and head", 3e-3, adapter="lora-pt", decomposes=True),
    "decoder": MethodTraits("decoder and head", 3e-3),
    "full": MethodTraits("everything", 2e-3, parts=("all",), needs_base=False),
    "bitfit": MethodTraits("all biases, and the head", 2e-3, parts=("biases", "head")),
    "layernorm": MethodTraits("the transformer's layer norms, and the head", 2e-3, parts=("norms", "head")),
    "lora": MethodTraits("two factors a weight matrix, decoder and head", 3e-3, adapter="peft"),
    "dora": MethodTraits("as lora, and the norm of each output's weights", 3e-3, adapter="peft"),
    "pissa": MethodTraits("as lora, from the weights' own singular vectors", 3e-3, adapter="peft", decomposes=True),
    "adalora": MethodTraits("three factors a weight matrix, whose ranks are shared out while they train; decoder and head", 3e-3,
                            adapter="peft", known_steps=True),
    "published": MethodTraits("the decoder without the head: what the published code of LoRA-PT trains", 3e-3, parts=("decoder",),
                              trains_remade=False),
}  # fmt: skip
assert tuple(METHODS) == get_args(Method)
PLANNED: tuple[Method, ...] = ("lora-pt", "decoder", "full")  # whose rates every plan names, also one of an earlier hippopt


def default_rates() -> dict[str, float]:
    """Learning rate by method."""
    return {method: traits.rate for method, traits in METHODS.items()}


def check_library(method: Method) -> None:
    """Raises UsageError where the library that a method needs is not installed."""
    if METHODS[method].adapter == "peft" and find_spec("peft") is None:
        raise UsageError(f"method {method}: needs the peft library, which is not installed; install it with pip install 'hippopt[peft]'")
