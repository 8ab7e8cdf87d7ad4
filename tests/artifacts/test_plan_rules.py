"""Every rule of a plan: broken by one edit, it is reported, and it alone."""

from typing import Any

import msgspec
import pytest

from hippopt.artifacts.codec import content_hash, write_json
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.plan import AUGMENTATION_RANGES, AugmentationSettings, Fold, Plan
from hippopt.artifacts.plan_rules import broken_rules, check_plan, load_plan
from hippopt.errors import PlanError
from tests.records import case_of_boxes, changed, fingerprint_of, small_plan

BOX = ((10, 10, 10), (4, 4, 4))
FOLDS = ("case_00", "case_01", "case_02")


def data(subjects: tuple[str, ...] = FOLDS) -> Fingerprint:
    """Three cases whose labels are ordered along y, as the plan of the tests names them."""
    boxes = {"anterior": ((10, 30, 10), (4, 4, 4)), "posterior": BOX}
    return fingerprint_of(
        [case_of_boxes(name, boxes, subject=subject) for name, subject in zip(FOLDS, subjects, strict=True)]
    )


def folds(train: tuple[str, ...], val: tuple[str, ...]) -> tuple[Fold, ...]:
    return (small_plan().folds[0], Fold(train=train, val=val))


def test_the_plan_of_the_tests_is_sound() -> None:
    assert broken_rules(small_plan()) == [] == broken_rules(small_plan(), data())


def test_tokens_of_eight_allow_patches_between() -> None:
    plan = changed(small_plan(), patch_size=(16, 24, 40))
    assert broken_rules(changed(plan, network__token_size=8)) == []


RATES = {"lora-pt": 1e-3, "decoder": 1e-3, "full": 5e-4}
BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"patch_size": (16, 24, 16)}, "patch_size"),
    ({"patch_size": (16, 0, 16)}, "patch_size"),
    ({"patch_size": (16, -16, 16)}, "patch_size"),
    ({"patch_size": (16, 20, 16), "network__token_size": 8}, "patch_size"),
    ({"network__token_size": 4}, "network.token_size"),
    ({"batch_size": 0}, "batch_size"),
    ({"target_spacing_mm": (1.0, 0.0, 1.0)}, "target_spacing_mm"),
    ({"target_spacing_mm": (1.0, 100.0, 1.0)}, "target_spacing_mm"),
    ({"target_spacing_mm": (1.0, float("nan"), 1.0)}, "target_spacing_mm"),
    ({"foreground_oversampling": 1.1}, "foreground_oversampling"),
    ({"foreground_oversampling": -0.1}, "foreground_oversampling"),
    ({"normalisation__clip_percentiles": (50.0, 50.0)}, "normalisation.clip_percentiles"),
    ({"normalisation__clip_percentiles": (-1.0, 50.0)}, "normalisation.clip_percentiles"),
    ({"normalisation__clip_percentiles": (1.0, 101.0)}, "normalisation.clip_percentiles"),
    ({"network__feature_size": 0}, "network"),
    ({"network__hidden_size": 50}, "network.hidden_size"),  # 3 heads
    ({"adapter__rank": 0}, "adapter.rank"),
    ({"adapter__rank": 49}, "adapter.rank"),  # hidden size 48
    ({"adapter__rank": {"attention": 4, "mlp_up": 49, "mlp_down": 2}}, "adapter.rank.mlp_up"),
    ({"adapter__rank": {"attention": 0, "mlp_up": 1, "mlp_down": 2}}, "adapter.rank.attention"),
    ({"adapter__rank": {"attention": 4}}, "adapter.rank"),
    ({"adapter__rank": {"attention": 4, "mlp_up": 4, "mlp_down": 4, "query": 4}}, "adapter.rank"),
    ({"adapter__rank": {"convolutions": 22}, "adapter__stacks": ("convolutions",)}, "adapter.rank.convolutions"),
    ({"adapter__rank": 22, "adapter__stacks": ("convolutions",)}, "adapter.rank"),
    ({"adapter__stacks": ()}, "adapter.stacks"),
    ({"adapter__stacks": ("mlp_up", "mlp_up")}, "adapter.stacks"),
    ({"adapter__factor_rate": 0.0}, "adapter.factor_rate"),
    ({"adapter__s_rate": 0.0}, "adapter.s_rate"),
    ({"adapter__s_rate": float("inf")}, "adapter.s_rate"),
    ({"adapter__also_trained": ("decoder", "heads")}, "adapter.also_trained"),
    ({"schedule__steps": 0}, "schedule"),
    ({"schedule__steps_per_epoch": 0}, "schedule"),
    ({"schedule__warmup_steps": -1}, "schedule"),
    ({"schedule__learning_rate": {**RATES, "full": 0.0}}, "schedule.learning_rate"),
    ({"schedule__learning_rate": {**RATES, "full": float("inf")}}, "schedule.learning_rate"),
    ({"schedule__learning_rate": {"lora-pt": 1e-3, "full": 5e-4}}, "schedule.learning_rate"),
    ({"schedule__gradient_clip": 0.0}, "schedule.gradient_clip"),
    ({"schedule__weight_decay": -0.1}, "schedule"),
    ({"schedule__poly_exponent": -0.1}, "schedule"),
    ({"seed": -1}, "seed"),
    ({"labels": {"background": 1, "anterior": 0, "posterior": 2}}, "labels"),
    ({"labels": {"background": 0, "anterior": 1, "posterior": 1}}, "labels"),
    ({"labels": {"anterior": 1, "posterior": 2}}, "labels"),
    ({"augmentation__swap_labels": ((1, 5),)}, "augmentation.swap_labels"),
    *[
        ({f"augmentation__{name}": 1.5}, "augmentation")
        for name in AugmentationSettings.__struct_fields__
        if name.startswith("p_")
    ],
    *[({f"augmentation__{name}": (1.4, 0.7)}, f"augmentation.{name}") for name in AUGMENTATION_RANGES],
    *[({f"augmentation__{name}": (-0.1, 0.7)}, f"augmentation.{name}") for name in AUGMENTATION_RANGES],
    ({"folds": folds(("case_00", "case_01"), ("case_01",))}, "folds[1]"),
    ({"folds": folds((), ("case_01",))}, "folds[1]"),
    ({"folds": folds(("case_00",), ())}, "folds[1]"),
]


@pytest.mark.parametrize(("edit", "key"), BROKEN, ids=lambda value: str(value)[:60])
def test_each_broken_rule_is_reported(edit: dict[str, Any], key: str) -> None:
    broken = broken_rules(changed(small_plan(), **edit))
    assert len(broken) == 1, broken
    assert broken[0].startswith(f"{key}:") and "the rule: " in broken[0]


WITH_DATA: list[tuple[dict[str, Any], tuple[str, ...], str]] = [
    ({"folds": folds(("case_00",), ("case_09",))}, FOLDS, "folds[1]: case_09 unknown"),
    ({"folds": ()}, FOLDS, "folds: none"),
    ({}, ("S0", "S1", "S1"), "folds[0]: subject S1 in train and val"),
    ({"channel_names": ("T2",)}, FOLDS, "labels, channel_names"),
    ({"labels": {"background": 0, "head": 1, "tail": 2}}, FOLDS, "labels, channel_names"),
    ({"augmentation__flip_axes": ("y",)}, FOLDS, "augmentation.flip_axes: y"),
    ({"sides": {"anterior": "left", "posterior": "right"}}, FOLDS, "augmentation.flip_axes: x"),
]


@pytest.mark.parametrize(("edit", "subjects", "start"), WITH_DATA, ids=lambda value: str(value)[:60])
def test_each_rule_about_the_data_is_reported(edit: dict[str, Any], subjects: tuple[str, ...], start: str) -> None:
    broken = broken_rules(changed(small_plan(), **edit), data(subjects))
    assert len(broken) == 1, broken
    assert broken[0].startswith(start) and "the rule: " in broken[0]


@pytest.mark.parametrize(
    "edit",
    [
        {"augmentation__flip_axes": ("x", "z")},
        {"augmentation__flip_axes": ()},
        {"sides": {"anterior": "left", "posterior": "right"}, "augmentation__swap_labels": ((1, 2),)},
        {"sides": {"anterior": "left", "posterior": "right"}, "augmentation__flip_axes": ()},
        {"adapter__rank": 48},
        {"adapter__rank": {"attention": 48, "mlp_up": 1, "mlp_down": 3}},
        {"adapter__rank": {"mlp_up": 48}, "adapter__stacks": ("mlp_up",)},
        {
            "adapter__rank": 21,
            "adapter__stacks": ("convolutions",),
        },  # feature size 4: a kernel of 32 x 64 is the largest
        {"adapter__rank": {"attention": 4, "convolutions": 8}, "adapter__stacks": ("attention", "convolutions")},
        {"adapter__s_rate": 30.0, "adapter__balance": False},
        {"adapter__attention": "four"},
        {"adapter__also_trained": ("decoder", "head", "norms", "encoders")},
        {"adapter__also_trained": ("decoder5.", "out.", "vit.patch_embedding")},
        {"adapter__also_trained": ()},
        {"schedule__warmup_steps": 0},
        {"foreground_oversampling": 1.0},
    ],
    ids=str,
)
def test_what_is_allowed(edit: dict[str, Any]) -> None:
    assert broken_rules(changed(small_plan(), **edit), data()) == []


def test_rules_for_every_stack() -> None:
    narrow = changed(small_plan(), network__mlp_dim=24, adapter__rank=30)
    assert [rule.split(":")[0] for rule in broken_rules(narrow)] == [
        "adapter.rank"
    ]  # 24 is the smaller side of the MLP's weights
    assert broken_rules(changed(narrow, adapter__stacks=("attention",))) == []  # 48 x 48


def test_the_bound_of_a_rank_is_that_of_its_stack() -> None:
    plan = changed(small_plan(), network__mlp_dim=24, adapter__rank={"attention": 49, "mlp_up": 25, "mlp_down": 24})
    assert [rule.partition("; the rule: ")[2].partition(",")[0] for rule in broken_rules(plan)] == [
        "from 1 to 48",
        "from 1 to 24",
    ]


def test_a_plan_without_the_later_options_means_their_defaults() -> None:
    """Adapters and runs name the plan they were trained with by its hash."""
    data = msgspec.to_builtins(small_plan())
    for name in ("factor_rate", "s_rate", "attention"):
        del data["adapter"][name]
    old = msgspec.convert(data, Plan)
    assert old == small_plan()
    assert (
        len(
            {
                content_hash(changed(old, **edit))
                for edit in ({}, {"adapter__s_rate": 2.0}, {"adapter__attention": "four"})
            }
        )
        == 3
    )


def test_all_broken_rules_are_reported_together(tmp_path: object) -> None:
    plan = changed(small_plan(), batch_size=0, seed=-1, patch_size=(1, 2, 3))
    with pytest.raises(PlanError) as caught:
        check_plan(plan, "plan.json")
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["patch_size", "batch_size", "seed"]
    assert all(line.startswith("plan.json: ") for line in lines)


def test_a_plan_file_is_checked_when_read(tmp_path: Any) -> None:
    path = tmp_path / "plan.json"
    write_json(path, small_plan())
    assert load_plan(path, data()) == small_plan()
    write_json(path, small_plan(batch_size=0))
    with pytest.raises(PlanError, match="batch_size: 0; the rule: at least 1"):
        load_plan(path)


def test_classes_follow_rising_values() -> None:
    plan: Plan = msgspec.structs.replace(small_plan(), labels={"tail": 53, "background": 0, "head": 17})
    assert plan.class_names == ("background", "head", "tail") and plan.label_values == (0, 17, 53)
