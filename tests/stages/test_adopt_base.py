"""Our own checkpoints as a base: a fold of method full, a kept base with its card, a name, a part of a sha256."""

import json
import shutil
from pathlib import Path

import pytest

from tests.synthetic import Command
from tests.trained import LORA, assert_stopped, contents, copied, edit_json, fold_path, train_arguments

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture
def given(lora_root: Path, tmp_path: Path) -> Path:
    """The base of `lora_root` with its card beside it, under another name in a folder of its own."""
    (kept,) = [path for path in (lora_root / "results" / "bases").glob("*.safetensors") if "-rank" not in path.name]
    (tmp_path / "given").mkdir()
    for ending in (".safetensors", ".json"):
        shutil.copy(kept.with_suffix(ending), tmp_path / "given" / f"from_a_colleague{ending}")
    return tmp_path / "given" / "from_a_colleague.safetensors"


@pytest.fixture
def root(trained_root: Path, tmp_path: Path) -> Path:
    return copied(trained_root, tmp_path, results=False)


def decoder(root: Path, base: object, *more: object) -> list[str]:
    return train_arguments(root, "--base", base, *more, method="decoder", steps=1)


def card_of(root: Path) -> dict[str, object]:
    (path,) = (root / "results" / "bases").glob("*.json")
    return json.loads(path.read_text())


def test_a_base_with_its_card_keeps_its_name_its_sha256_and_what_it_has_seen(
    lora_root: Path, root: Path, given: Path, run_command: Command
) -> None:
    before = contents(given.parent)
    code, out, err = run_command("train", *decoder(root, given))
    assert code == 0 and "matched" in out, err
    assert card_of(root) == card_of(lora_root) == json.loads(given.with_suffix(".json").read_text())
    assert len(card_of(root)["seen_images"]) > 0  # type: ignore[arg-type]
    assert contents(given.parent) == before
    for again in ("full-fold0", str(card_of(root)["sha256"])[:8]):
        code, _, err = run_command("train", *decoder(root, again, "--overwrite"))
        assert code == 0, err
    # fold 1's validation cases were among what the base was trained on
    outcome = run_command("train", *train_arguments(root, "--base", "full-fold0", fold=1, method="decoder", steps=1))
    assert_stopped(outcome, "full-fold0", "--allow-seen")


def test_a_card_that_another_process_is_writing_is_left_alone(root: Path, given: Path, run_command: Command) -> None:
    assert run_command("train", *decoder(root, given))[0] == 0
    (root / "results" / "bases" / ".tmp-abc.json").write_text('{"name": "ha')
    code, _, err = run_command("train", *decoder(root, "full-fold0", "--overwrite"))
    assert code == 0, err


def test_a_base_that_is_not_its_cards_is_refused(root: Path, given: Path, run_command: Command) -> None:
    edit_json(given.with_suffix(".json"), lambda card: card.update(sha256="0" * 64))
    before = contents(root)
    assert_stopped(run_command("train", *decoder(root, given)), given, "copy both anew")
    assert contents(root) == before


def test_adapters_that_hold_no_whole_network_are_no_base(lora_root: Path, root: Path, run_command: Command) -> None:
    before = contents(root)
    assert_stopped(run_command("train", *decoder(root, fold_path(lora_root, 0, LORA))), "method lora-pt", "method full")
    assert contents(root) == before
