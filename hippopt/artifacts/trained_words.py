"""What trains with a method under a plan: parts of the network, and the same in words."""

from hippopt.artifacts.methods import METHODS, Method
from hippopt.artifacts.plan import CONVOLUTIONS, AdapterSettings

WORDS = {
    "decoder": "the decoder",
    "head": "the head",
    "norms": "the transformer's layer norms",
    "encoders": "the convolutional encoders",
    "biases": "all biases",
    "all": "everything",
}
KERNELS = ("encoders", "decoder")  # the parts that `convolutions` of the plan's stacks stands for


def trained_parts(method: Method, settings: AdapterSettings) -> tuple[str, ...]:
    """The parts that train besides factors (keys of WORDS, or beginnings of parameter names): what has factors trains
    as these alone.

    Where the plan's stacks name the convolutions, all of these train with every method that follows the plan: whole,
    where they have no factors.
    """
    parts = METHODS[method].parts
    if parts is not None:
        return parts
    kernels = KERNELS if CONVOLUTIONS in settings.stacks else ()
    return tuple(dict.fromkeys([*settings.also_trained, *kernels]))


def trains_in_words(method: Method, settings: AdapterSettings) -> str:
    """What trains, from the method and the plan's settings."""
    traits, parts = METHODS[method], trained_parts(method, settings)
    factors = [traits.factors] if traits.factors else []
    if traits.factors and CONVOLUTIONS in settings.stacks:
        factors.append("the kernels that these would not make smaller, whole")
        parts = tuple(part for part in parts if part not in KERNELS)
    words = [WORDS.get(part, f"what begins with {part}") for part in parts]
    if parts == ("decoder",) and not traits.trains_remade:
        words = ["the decoder without the head: what the published code of LoRA-PT trains"]
    return _listed([*factors, *words])


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
