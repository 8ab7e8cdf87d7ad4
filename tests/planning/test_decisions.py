"""The plan from fingerprints of hand-made sizes. Memory is plenty unless a test says otherwise."""

import msgspec
import pytest

from hippopt.artifacts.plan import AdapterSettings, Plan
from hippopt.artifacts.plan_rules import broken_rules, check_plan
from hippopt.artifacts.sides import Side
from hippopt.artifacts.triples import Voxels
from hippopt.errors import PlanError, StaleArtifactError
from hippopt.networks.base_files import default_base
from hippopt.networks.memory import training_bytes
from hippopt.networks.unetr import SIZES
from hippopt.planning.decisions import Machine, decide
from tests.records import FRONT_AND_BACK, TINY_NETWORK, case_of_boxes, changed, fingerprint_of, front_and_back

CPU = Machine("cpu", 8.0)
Boxes = dict[str, tuple[Voxels, Voxels] | None]
# left (-x) and right (+x) of the midplane, with a wider gap than needed
PAIR: Boxes = {"hippocampus_left": ((10, 10, 4), (12, 20, 10)), "hippocampus_right": ((10, 10, 40), (12, 20, 10))}


def sided(boxes: Boxes, sides: dict[str, Side]) -> Plan:
    """The tiny plan of six cases with these boxes and sides."""
    return decide(
        fingerprint_of([case_of_boxes(f"case_{i}", boxes, (40, 40, 60)) for i in range(6)], sides), CPU, 0, TINY_NETWORK
    )


def test_a_data_set_like_the_decathlons() -> None:
    plan = decide(front_and_back(), CPU)
    assert plan.target_spacing_mm == (1, 1, 1)
    # 22 x 42 x 24 mm and 8 mm of margin on each side: 38 x 58 x 40, of which the image holds 40 x 56 x 40;
    # in multiples of 16: 48 x 64 x 48
    assert plan.patch_size == (32, 48, 32)
    assert plan.batch_size == 2
    assert plan.crop == "none" and plan.normalisation.region == "image"
    assert plan.network == SIZES["small"]
    assert plan.augmentation.flip_axes == ("x",) and plan.side_classes is None
    assert plan.largest_scan_mm == (40, 56, 40)
    assert len(plan.folds) == 5
    assert set(plan.reasons) >= {
        "target_spacing_mm",
        "crop",
        "normalisation",
        "patch_size",
        "batch_size",
        "network",
        *(f"adapter.{name}" for name in AdapterSettings.__struct_fields__),
        "augmentation",
        "schedule",
        "folds",
        "seed",
        "foreground_oversampling",
    }
    assert broken_rules(plan, front_and_back()) == []


def test_the_same_data_give_the_same_plan() -> None:
    assert decide(front_and_back(), CPU, 3, TINY_NETWORK) == decide(front_and_back(), CPU, 3, TINY_NETWORK)
    assert decide(front_and_back(), CPU, 3, TINY_NETWORK).folds != decide(front_and_back(), CPU, 4, TINY_NETWORK).folds


def test_the_network_is_the_one_that_a_base_ships_for() -> None:
    for machine in (CPU, Machine("cuda", 80.0)):
        plan = decide(front_and_back(), machine)
        assert plan.network == SIZES["small"] and default_base(plan) is not None


def test_of_several_channels_a_gpu_gets_the_papers_network() -> None:
    several = msgspec.structs.replace(front_and_back(), channel_names=("T1", "T2"))
    assert decide(several, CPU).network == SIZES["small"]
    plan = decide(several, Machine("cuda", 80.0))
    assert plan.network == SIZES["base"] and default_base(plan) is None
    # 10 images of 40 x 56 x 40 are 896,000 voxels: 5 % hold no patch of 49,152, and 2 is the least
    assert plan.patch_size == (32, 48, 32) and plan.batch_size == 2


def test_a_gpu_takes_a_batch_of_at_most_five_percent() -> None:
    plan = decide(front_and_back(100), Machine("cuda", 80.0), 0, TINY_NETWORK)
    assert plan.batch_size == int(0.05 * 100 * 40 * 56 * 40 / (32 * 48 * 32)) == 9


def test_little_memory_shrinks_batch_then_patch() -> None:
    fingerprint = front_and_back(200)
    one, two, three = (training_bytes(TINY_NETWORK, 1, 3, (32, 48, 32), batch) for batch in (1, 2, 3))
    assert decide(fingerprint, Machine("cuda", (two + three) / 2e9), 0, TINY_NETWORK).batch_size == 2
    plan = decide(fingerprint, Machine("cuda", (one + two) / 2e9), 0, TINY_NETWORK)
    # 32/22, 48/42 and 32/24 of the structure: z is the longest and shrinks first
    assert plan.patch_size == (16, 48, 32) and plan.batch_size == 3  # of half the size
    assert "shrunk to fit the memory" in plan.reasons["patch_size"]
    assert training_bytes(TINY_NETWORK, 1, 3, plan.patch_size, plan.batch_size) <= (one + two) / 2
    with pytest.raises(PlanError, match=r"memory.*--memory-gb"):
        decide(fingerprint, Machine("cpu", 1e-4), 0, TINY_NETWORK)


def test_no_flip_along_axes_of_order() -> None:
    fingerprint = front_and_back()
    assert fingerprint.ordered_axes == ("y",)
    plan = decide(fingerprint, CPU, 0, TINY_NETWORK)
    assert "y" not in plan.augmentation.flip_axes and "ordered along y" in plan.reasons["augmentation"]
    edited = changed(plan, augmentation__flip_axes=("x", "y"))
    assert [rule.split(";")[0] for rule in broken_rules(edited, fingerprint)] == ["augmentation.flip_axes: y"]
    assert broken_rules(changed(plan, augmentation__flip_axes=("x", "z")), fingerprint) == []


@pytest.mark.parametrize(
    ("across", "flips"),
    [
        ([3, 2, 4, 3, 2, 3], ()),  # one side only
        ([3, 2, 4, 3, 2, 3, 3, 4, 3, -1], ()),  # nine of ten
        ([3, 2, 4, -3, 2, 3], ("x",)),  # five of six: perhaps a mixture
        ([3, -2, 4, -3, 2, -3], ("x",)),
        ([0, 0, 0, 0, 0, 0], ("x",)),  # in the midplane
        ([3, 2, 4, 3], ("x",)),  # too few to tell
    ],
)
def test_scans_of_one_side_are_not_flipped(across: list[int], flips: tuple[str, ...]) -> None:
    """The posterior part lies so many voxels right of the anterior one."""
    cases = [
        case_of_boxes(
            f"case_{i}",
            {"anterior": ((9, 28, 12), (20, 21, 16)), "posterior": ((9, 7, 12 + dx), (22, 21, 16))},
            (40, 56, 40),
        )
        for i, dx in enumerate(across)
    ]
    plan = decide(fingerprint_of(cases), CPU, 0, TINY_NETWORK)
    assert plan.augmentation.flip_axes == flips and ("one handedness" in plan.reasons["augmentation"]) == (not flips)


def test_sided_labels_flip_with_their_twin() -> None:
    plan = sided(PAIR, {"hippocampus_left": "left", "hippocampus_right": "right"})
    assert (
        plan.augmentation.flip_axes == ("x",) and plan.class_sides.pairs == ((1, 2),) and plan.side_classes is not None
    )
    assert broken_rules(plan) == []


def test_a_sided_label_without_twin_is_not_flipped() -> None:
    sides: dict[str, Side] = {"hippocampus_left": "left"}
    plan = sided({"hippocampus_left": PAIR["hippocampus_left"]}, sides)
    assert plan.augmentation.flip_axes == () and plan.class_sides.pairs == ()
    fingerprint = fingerprint_of(
        [case_of_boxes(f"case_{i}", {"hippocampus_left": PAIR["hippocampus_left"]}, (40, 40, 60)) for i in range(6)],
        sides,
    )
    broken = broken_rules(changed(plan, augmentation__flip_axes=("x",)), fingerprint)
    assert len(broken) == 1 and "augmentation.flip_axes: x" in broken[0] and "no twin" in broken[0]


def test_nonzero_boxes_are_cut_and_brains_normalised_by_themselves() -> None:
    cases = [
        case_of_boxes(
            f"case_{i}", FRONT_AND_BACK, (60, 80, 60), nonzero=((4, 4, 4), (52, 72, 52)), nonzero_fraction=0.5
        )
        for i in range(5)
    ]
    plan = decide(fingerprint_of(cases), CPU, 0, TINY_NETWORK)
    assert plan.crop == "nonzero" and plan.normalisation.region == "nonzero"
    assert plan.largest_scan_mm == (52, 72, 52)
    full = [msgspec.structs.replace(case, nonzero_fraction=0.76) for case in cases]
    assert decide(fingerprint_of(full), CPU, 0, TINY_NETWORK).normalisation.region == "image"


def test_a_plan_of_other_data_is_stale() -> None:
    plan = decide(front_and_back(), CPU, 0, TINY_NETWORK)
    other = msgspec.structs.replace(front_and_back(), dataset_hash="f" * 64)
    with pytest.raises(StaleArtifactError, match=r"0123456789ab.*ffffffffffff.*--overwrite"):
        check_plan(plan, "plan.json", other)
    assert check_plan(plan, "plan.json", front_and_back()) is plan
