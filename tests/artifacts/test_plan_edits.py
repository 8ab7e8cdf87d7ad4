"""Edits of a plan by `key=value`, and how the differences are shown."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hippopt.artifacts.codec import decode
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.plan_edits import apply_settings, apply_synthesis_settings, lost_edits, plan_changes, reset_keys
from hippopt.artifacts.synthesis import SynthesisSettings
from hippopt.errors import PlanError
from tests.inference.test_sides import sided_plan
from tests.records import changed, small_plan

SOURCE = Path("plan.json")


@pytest.mark.parametrize(
    ("setting", "edit"),
    [
        ("batch_size=4", {"batch_size": 4}),
        (" batch_size = 4", {"batch_size": 4}),
        ("patch_size=48,64,48", {"patch_size": (48, 64, 48)}),
        ("patch_size=[48, 64, 48]", {"patch_size": (48, 64, 48)}),
        ("target_spacing_mm=1,0.5,2", {"target_spacing_mm": (1.0, 0.5, 2.0)}),
        ("crop=nonzero", {"crop": "nonzero"}),
        ('crop="nonzero"', {"crop": "nonzero"}),
        ("foreground_oversampling=1", {"foreground_oversampling": 1.0}),
        ("foreground_oversampling=.5", {"foreground_oversampling": 0.5}),
        ("target_spacing_mm=1.,.5,2", {"target_spacing_mm": (1.0, 0.5, 2.0)}),
        ("normalisation.region=nonzero", {"normalisation__region": "nonzero"}),
        ("normalisation.clip_percentiles=1,99", {"normalisation__clip_percentiles": (1.0, 99.0)}),
        ("network.hidden_size=96", {"network__hidden_size": 96}),
        ("adapter.stacks=attention", {"adapter__stacks": ("attention",)}),
        ("adapter.stacks=attention,mlp_up", {"adapter__stacks": ("attention", "mlp_up")}),
        ("adapter.rank=8", {"adapter__rank": 8}),
        (
            'adapter.rank={"attention": 1, "mlp_up": 4, "mlp_down": 4}',
            {"adapter__rank": {"attention": 1, "mlp_up": 4, "mlp_down": 4}},
        ),
        ("adapter.attention=four", {"adapter__attention": "four"}),
        ("adapter.s_rate=30", {"adapter__s_rate": 30.0}),
        ("adapter.also_trained=decoder,head,norms", {"adapter__also_trained": ("decoder", "head", "norms")}),
        ("adapter.balance=false", {"adapter__balance": False}),
        ("augmentation.flip_axes=", {"augmentation__flip_axes": ()}),
        ("augmentation.flip_axes=[]", {"augmentation__flip_axes": ()}),
        ("augmentation.flip_axes=x,z", {"augmentation__flip_axes": ("x", "z")}),
        (
            "schedule.learning_rate.full=1e-4",
            {"schedule__learning_rate": {"lora-pt": 1e-3, "decoder": 1e-3, "full": 1e-4}},
        ),
    ],
)
def test_settings(setting: str, edit: dict[str, Any]) -> None:
    plan = small_plan()
    found = apply_settings(plan, [setting], SOURCE)
    assert found == changed(plan, **edit, reasons={setting.partition("=")[0].strip(): "set by the user"})
    assert plan == small_plan()


def test_settings_of_the_synthesis() -> None:
    usual = SynthesisSettings(patch_size=(32, 48, 32))
    found = apply_synthesis_settings(usual, ["offset_mm=6", "field_of_view=0.5,1"])
    assert found == SynthesisSettings(patch_size=(32, 48, 32), offset_mm=6.0, field_of_view=(0.5, 1.0))
    assert apply_synthesis_settings(usual, ["share_t1=.5"]).share_t1 == 0.5
    for setting in ("offset=6", "patch_size=16,16,16", "share_t1", "gamma=strong", "share_t1=7", "p_flip=-.1"):
        with pytest.raises(PlanError, match=setting):
            apply_synthesis_settings(usual, [setting])


def test_later_settings_win_and_all_are_kept() -> None:
    found = apply_settings(small_plan(), ["batch_size=4", "seed=7", "batch_size=6"], SOURCE)
    assert (found.batch_size, found.seed) == (6, 7)
    assert found.reasons == {"batch_size": "set by the user", "seed": "set by the user"}


@pytest.mark.parametrize(
    "setting",
    [
        "batchsize=4",
        "batch_size",
        "=4",
        "network.depth=12",
        "patch_size.0=16",
        "network=",
        "batch_size=many",
        "batch_size=1.5",
        "patch_size=16,16",
        "crop=some",
        "adapter.stacks=attention,mlp",
        "adapter.attention=three",
        "adapter.rank=many",
        "adapter.rank=1.5",
        "adapter.core=round",
        "schema=2",
        "fingerprint_hash=0",
        "reasons.seed=why",
    ],
)
def test_what_cannot_be_set(setting: str) -> None:
    with pytest.raises(PlanError, match="--set "):
        apply_settings(small_plan(), [setting], SOURCE)


def test_differences_are_named() -> None:
    new = changed(
        small_plan(),
        batch_size=4,
        schedule__learning_rate={"lora-pt": 1e-3, "decoder": 1e-3, "full": 1e-4},
        reasons={"seed": "why"},
    )
    assert plan_changes(small_plan(), new) == ["batch_size: 2 -> 4", "schedule.learning_rate.full: 0.0005 -> 0.0001"]
    assert plan_changes(small_plan(), changed(small_plan(), folds=small_plan().folds * 9)) == [
        "folds: changed"
    ]  # too long to show
    assert plan_changes(small_plan(), small_plan()) == []


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("batchsize=4", "no 'batchsize' in the plan; near matches: batch_size"),
        ("adapter.rnk=8", "no 'rnk' in the plan's adapter; near matches: rank"),
        ("seed.x=8", "it has no keys of its own"),
        ("batch_size", "no value"),
        ("batch_size=many", "give another value"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(setting: str, words: str) -> None:
    with pytest.raises(PlanError, match=words) as found:
        apply_settings(small_plan(), [setting], SOURCE)
    assert "mend the file" not in str(found.value)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("epochs=100", "near matches: schedule.steps"),
        ("schedule.epochs=100", "no 'epochs' in the plan's schedule; near matches: schedule.steps"),
        ("lr=1e-3", "near matches: schedule.learning_rate"),
        ("rotation=10", "near matches: augmentation.p_rotation, augmentation.rotation_degrees"),
        ("spacing=1", "near matches: target_spacing_mm"),
        ("warmup=3", "near matches: schedule.warmup_steps"),
        ("steps_per_epok=3", "near matches: schedule.steps_per_epoch"),
        ("crop=some", "one of none, nonzero"),
        ("adapter.core=round", "one of diagonal, dense"),
        ("augmentation.flip_axes=w", "one of x, y, z"),
        ("adapter.balance=perhaps", "true or false"),
        ("batch_size=many", "a whole number"),
        ("patch_size=16,16", "3 values separated by commas, each a whole number"),
        ("normalisation.clip_percentiles=1", "2 values separated by commas, each a number"),
        ("adapter.rank=many", "a whole number or an object"),
        ("network=", "an object with the keys size, hidden_size"),
        ("schedule.full_rate_on_base=fast", "a number or null"),
    ],
)
def test_a_wrong_key_or_value_says_the_right_ones(setting: str, words: str) -> None:
    with pytest.raises(PlanError) as found:
        apply_settings(small_plan(), [setting], SOURCE)
    assert words in str(found.value)


def test_a_value_edited_by_hand_says_the_right_ones(tmp_path: Path) -> None:
    data = msgspec.to_builtins(small_plan()) | {"crop": "zero"}
    with pytest.raises(PlanError, match=r"`\$\.crop`; one of none, nonzero is expected; mend the file"):
        decode(data, Plan, tmp_path / "plan.json")


def test_reset_gives_back_what_planning_decided_and_leaves_other_edits() -> None:
    fresh = small_plan(reasons={"batch_size": "memory", "adapter.rank": "4 is enough", "folds": "drawn"})
    edited = apply_settings(fresh, ["batch_size=4", "adapter.rank=8", "adapter.core=dense", "seed=3"], SOURCE)
    assert reset_keys(edited, ["adapter.rank"], fresh) == changed(
        edited, adapter__rank=2, reasons={**edited.reasons, "adapter.rank": "4 is enough"}
    )
    back = reset_keys(edited, ["adapter", "batch_size", "seed"], fresh)
    assert back == fresh
    for key, words in (
        ("adapter.rnk", "near matches: rank"),
        ("reasons", "cannot be set"),
        ("fold", "near matches: folds"),
    ):
        with pytest.raises(PlanError, match=f"--reset {key}: .*{words}"):
            reset_keys(edited, [key], fresh)


def test_reset_of_an_older_plans_augmentation_keeps_its_twins() -> None:
    new = sided_plan()
    old = changed(new, side_classes=None, augmentation__swap_labels=((48, 47),))
    assert reset_keys(old, ["augmentation"], new) == new


def test_lost_edits_are_those_of_a_person() -> None:
    planned = small_plan(reasons={"batch_size": "memory"})
    by_hand = changed(planned, patch_size=(16, 16, 16))
    old = apply_settings(by_hand, ["adapter.rank=8"], SOURCE)
    new = changed(planned, fingerprint_hash="f" * 16, batch_size=9, largest_scan_mm=(1.0, 1.0, 1.0))
    assert lost_edits(old, planned, new) == ["patch_size: [16, 16, 16] -> [16, 32, 16]", "adapter.rank: 8 -> 2"]
    assert lost_edits(old, None, new) == ["adapter.rank: 8 -> 2"]  # what planning had decided is not known any more
    assert lost_edits(planned, planned, new) == []
