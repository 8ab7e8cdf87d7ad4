"""The stacks of MONAI's UNETR: three of the transformer's layers, and one for each kernel; in the order recorded in the
adapter's card.

Order within attention: query, key, value, output projection of layer 0, then of layer 1, ... MONAI's `qkv` weight holds
q, k, v as consecutive row blocks. A t-SVD depends on the order only up to cyclic shifts and reversal (lora_pt.md). A
kernel is a stack of its own, a slice for each position, over the product of the cycles of its three axes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from hippopt.artifacts.plan import CONVOLUTIONS, TRANSFORMER_STACKS, AdapterSettings, StackName
from hippopt.lorapt import Slot, Stack, kernel_stack
from hippopt.networks.unetr import LAYERS, also_trained

if TYPE_CHECKING:
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

ATTENTION = ("query", "key", "value", "output")  # the order within a layer


def unetr_stacks(
    hidden: int, mlp: int, names: Sequence[str], attention_as: Literal["one", "four"] = "one"
) -> list[Stack]:
    """The stacks of these names: attention (48 of hidden x hidden), mlp_up (12 of mlp x hidden), mlp_down (12 of hidden
    x mlp).

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
    listed = [
        part
        for name in names
        if name != CONVOLUTIONS
        for part in (ATTENTION if name == "attention" and attention_as == "four" else (name,))
    ]
    return [Stack(name, tuple(slots[name])) for name in listed]


def linear_layers(hidden: int, mlp: int, names: Sequence[str]) -> list[Stack]:
    """The weights of the same names, layer by layer and each whole, as
    peft adapts them: `qkv` is one matrix of 3 hidden x hidden.
    """
    rows = {
        "attention": {"attn.qkv": 3 * hidden, "attn.out_proj": hidden},
        "mlp_up": {"mlp.linear1": mlp},
        "mlp_down": {"mlp.linear2": hidden},
    }
    slots = {
        name: tuple(
            Slot(f"vit.blocks.{layer}.{module}.weight", 0, size)
            for layer in range(LAYERS)
            for module, size in rows[name].items()
        )
        for name in names
        if name != CONVOLUTIONS
    }
    return [Stack(name, found) for name, found in slots.items()]


def kernel_stacks(model: "nn.Module", settings: AdapterSettings) -> list[Stack]:
    """A stack for each kernel of the convolutional encoders and the decoder that gets factors; none where the plan does
    not name them.

    A kernel trains whole where its factors would be as many numbers as itself, so also where its smaller side is at
    most the rank.
    """
    rank = convolution_rank(settings)
    if rank is None:
        return []
    found = []
    for path, module, transposed in _convolutions(model):
        sides = module.weight.shape[:2]
        if rank * (sum(sides) + 1) < sides[0] * sides[1]:
            found.append(kernel_stack(kernel_name(path), f"{path}.weight", module.kernel_size, transposed))
    return found


def plain_kernels(model: "nn.Module", settings: AdapterSettings) -> list[Stack]:
    """The convolutions that are not transposed, each whole, as peft
    adapts them: those whose smaller side is above the rank.
    """
    rank = convolution_rank(settings)
    if rank is None:
        return []
    return [
        Stack(kernel_name(path), (Slot(f"{path}.weight", 0, module.weight.shape[0]),))
        for path, module, transposed in _convolutions(model)
        if not transposed and min(module.weight.shape[:2]) > rank
    ]


def convolution_rank(settings: AdapterSettings) -> int | None:
    """The rank of the kernels, or None where the plan's stacks do not name them."""
    if CONVOLUTIONS not in settings.stacks:
        return None
    return settings.rank if isinstance(settings.rank, int) else settings.rank[CONVOLUTIONS]


def _convolutions(model: "nn.Module") -> Iterator[tuple[str, "_ConvNd", bool]]:
    """(path, convolution, whether it is a transposed one) of the convolutional encoders and the decoder."""
    from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

    for path, module in model.named_modules():
        if isinstance(module, _ConvNd) and also_trained([f"{path}.weight"], ["encoders", "decoder"]):
            yield path, module, isinstance(module, _ConvTransposeNd)


def kernel_name(path: str) -> str:
    """The name of a convolution's stack: its path without dots, which names of tensors keep for U, S and V."""
    return path.removesuffix(".conv").replace(".", "-")


def stack_ranks(rank: int | Mapping[str, int], stacks: Sequence[Stack]) -> dict[str, int]:
    """The tubal rank of each stack: the four of attention share
    that of `attention`, all kernels that of `convolutions`.
    """
    return {stack.name: rank if isinstance(rank, int) else rank[planned_name(stack.name)] for stack in stacks}


def planned_name(stack: str) -> StackName:
    """What a plan calls the stacks to which one of this name belongs."""
    if stack in TRANSFORMER_STACKS:
        return stack  # type: ignore[return-value]
    return "attention" if stack in ATTENTION else CONVOLUTIONS


def slot_names(stack: Stack) -> tuple[str, ...]:
    """For the card: `parameter[first:last]` of each slot of rows, or `parameter[:, :, 3x3x3]` of a whole kernel."""
    if stack.group:
        return (f"{stack.slots[0].parameter}[:, :, {'x'.join(map(str, stack.group))}]",)
    return tuple(str(slot) for slot in stack.slots)
