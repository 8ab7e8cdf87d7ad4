"""The three layer stacks of MONAI's UNETR, as slots of parameter rows, in the order recorded in the adapter's card.

Order within attention: query, key, value, output projection of layer 0, then of layer 1, ... MONAI's `qkv` weight holds
q, k, v as consecutive row blocks. A t-SVD depends on the order only up to cyclic shifts and reversal (lora_pt.md).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from hippopt.artifacts.methods import METHODS, Method
from hippopt.artifacts.plan import AdapterSettings, NetworkSettings
from hippopt.lorapt import Slot, Stack
from hippopt.networks.unetr import LAYERS

ATTENTION = ("query", "key", "value", "output")  # the order within a layer


def unetr_stacks(hidden: int, mlp: int, names: Sequence[str], attention_as: Literal["one", "four"] = "one") -> list[Stack]:
    """The stacks of these names: attention (48 of hidden x hidden), mlp_up (12 of mlp x hidden), mlp_down (12 of hidden x mlp).

    attention_as "four": in place of attention the stacks query, key, value and output, 12 of hidden x hidden each.
    """
    attention, up, down = [], [], []
    for layer in range(LAYERS):
        block = f"vit.blocks.{layer}"
        attention += [Slot(f"{block}.attn.qkv.weight", part * hidden, (part + 1) * hidden) for part in range(3)]
        attention.append(Slot(f"{block}.attn.out_proj.weight", 0, hidden))
        up.append(Slot(f"{block}.mlp.linear1.weight", 0, mlp))
        down.append(Slot(f"{block}.mlp.linear2.weight", 0, hidden))
    slots = {"attention": attention, "mlp_up": up, "mlp_down": down}
    slots |= {name: attention[number :: len(ATTENTION)] for number, name in enumerate(ATTENTION)}
    listed = [part for name in names for part in (ATTENTION if name == "attention" and attention_as == "four" else (name,))]
    return [Stack(name, tuple(slots[name])) for name in listed]


def linear_layers(hidden: int, mlp: int, names: Sequence[str]) -> list[Stack]:
    """The weights of the same names, layer by layer and each whole, as peft adapts them: `qkv` is one matrix of 3 hidden x hidden."""
    rows = {
        "attention": {"attn.qkv": 3 * hidden, "attn.out_proj": hidden},
        "mlp_up": {"mlp.linear1": mlp},
        "mlp_down": {"mlp.linear2": hidden},
    }
    slots = {
        name: tuple(Slot(f"vit.blocks.{layer}.{module}.weight", 0, size) for layer in range(LAYERS) for module, size in rows[name].items())
        for name in names
    }
    return [Stack(name, found) for name, found in slots.items()]


def adapted_weights(method: Method, network: NetworkSettings, settings: AdapterSettings) -> list[Stack]:
    """The weights that a method gives low-rank factors; none for a method without."""
    if METHODS[method].adapter == "lora-pt":
        return unetr_stacks(network.hidden_size, network.mlp_dim, settings.stacks, settings.attention)
    return linear_layers(network.hidden_size, network.mlp_dim, settings.stacks) if METHODS[method].adapter == "peft" else []


def stack_ranks(rank: int | Mapping[str, int], stacks: Sequence[Stack]) -> dict[str, int]:
    """The tubal rank of each stack: the four of attention share that of `attention`."""
    return {s.name: rank if isinstance(rank, int) else rank["attention" if s.name in ATTENTION else s.name] for s in stacks}


def slot_names(stack: Stack) -> tuple[str, ...]:
    """`parameter[first:last]` of each slot, for the card."""
    return tuple(f"{slot.parameter}[{slot.start}:{slot.stop}]" for slot in stack.slots)
