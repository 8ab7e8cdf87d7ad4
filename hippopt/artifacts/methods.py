"""Ways to fine-tune: what each trains and what it needs. The
commands, the plan's rules and the tests derive from this table.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

from hippopt.errors import UsageError

Method = Literal["lora-pt", "decoder", "full", "bitfit", "layernorm", "lora", "dora", "pissa", "adalora", "published"]


@dataclass(frozen=True)
class MethodTraits:
    """One way to fine-tune.

    factors: what its low-rank factors are, in words; artifacts/trained_words.py adds what else trains. rate: learning
    rate of a plan that names none. parts: of networks/unetr.py, trained besides factors; None: the plan's
    `also_trained`. adapter: the module of networks/adapters that makes the factors, if any; package: what has to be
    installed for it. kernels: whether factors stand for kernels of convolutions too. decomposes: starts from singular
    vectors of the base, stored once per run. tensor: these are of stacks of weights by a t-SVD, so that the plan's
    `core` and `balance` mean something. one_rank: all layers share one budget of ranks, so that the plan's `rank` has
    to be one number. trains_remade: whether what had to be re-made for the labels trains too. known_steps: plans over
    all its steps.
    """

    rate: float
    factors: str = ""
    parts: tuple[str, ...] | None = None
    adapter: str | None = None
    package: str | None = None
    kernels: bool = False
    decomposes: bool = False
    needs_base: bool = True
    tensor: bool = False
    one_rank: bool = False
    trains_remade: bool = True
    known_steps: bool = False

    @property
    def ranked(self) -> bool:
        """Whether `--rank` means something."""
        return self.adapter is not None


METHODS: dict[Method, MethodTraits] = {
    "lora-pt": MethodTraits(
        3e-3,
        "principal tensor factors of the stacked weights",
        adapter="lora_pt",
        kernels=True,
        decomposes=True,
        tensor=True,
    ),
    "decoder": MethodTraits(3e-3),
    "full": MethodTraits(2e-3, parts=("all",), needs_base=False),
    "bitfit": MethodTraits(2e-3, parts=("biases", "head")),
    "layernorm": MethodTraits(2e-3, parts=("norms", "head")),
    "lora": MethodTraits(3e-3, "two factors per weight matrix", adapter="peft_layers", package="peft", kernels=True),
    "dora": MethodTraits(
        3e-3,
        "two factors per weight matrix, and the norm of each output's weights",
        adapter="peft_layers",
        package="peft",
    ),
    "pissa": MethodTraits(
        3e-3,
        "two factors per weight matrix, from its own singular vectors",
        adapter="peft_layers",
        package="peft",
        decomposes=True,
    ),
    "adalora": MethodTraits(
        3e-3,
        "three factors per weight matrix, whose ranks are shared out while they train",
        adapter="peft_layers",
        package="peft",
        one_rank=True,
        known_steps=True,
    ),
    "published": MethodTraits(3e-3, parts=("decoder",), trains_remade=False),
}


@dataclass(frozen=True)
class Variant:
    """A method under other conditions: a row of a comparison beside the methods.

    suffix: what the names of its runs say besides the method; words: what it is.
    """

    method: Method
    suffix: str
    words: str
    needs_base: bool = True
    no_transformer: bool = False
    kernels: bool = False


VARIANTS = {
    "scratch": Variant("full", "scratch", "full, from random weights", needs_base=False),
    "no-transformer": Variant(
        "full",
        "no-transformer",
        "scratch with the transformer's blocks left out",
        needs_base=False,
        no_transformer=True,
    ),
    "no-transformer-base": Variant(
        "full", "no-transformer-base", "full from the base, with them left out", no_transformer=True
    ),
    "lora-pt-kernels": Variant(
        "lora-pt", "kernels", "lora-pt on the kernels of the convolutions in place of the transformer", kernels=True
    ),
    "lora-kernels": Variant("lora", "kernels", "lora on them", kernels=True),
}
assert tuple(METHODS) == get_args(Method)
# whose rates every plan names, also one of an earlier hippopt
PLANNED: tuple[Method, ...] = (
    "lora-pt",
    "decoder",
    "full",
)


def default_rates() -> dict[str, float]:
    """Learning rate by method."""
    return {method: traits.rate for method, traits in METHODS.items()}


def check_package(method: Method) -> None:
    """Raises UsageError where the package that a method needs is not installed."""
    package = METHODS[method].package
    if package is not None and find_spec(package) is None:
        raise UsageError(
            f"method {method}: needs the {package} library, which is not installed; install it with pip install"
            f" 'hippopt[{package}]'"
        )
