"""Every parser, given sound inputs and thousands of damaged ones, refuses in words or gives a sound result."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzzing.mutators import mutated
from tests.fuzzing.seeds import seeds
from tests.fuzzing.targets import TARGETS, accepts


@pytest.mark.parametrize("name", TARGETS)
def test_sound_inputs_are_taken(name: str, tmp_path: Path) -> None:
    for data in seeds(name):
        TARGETS[name].parse(data, tmp_path)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), which=st.integers(0, 99))
def test_damaged_inputs_are_refused_in_words_or_read_soundly(name: str, seed: int, which: int) -> None:
    sound = seeds_of(name)
    with TemporaryDirectory() as folder:
        accepts(TARGETS[name], mutated(sound[which % len(sound)], TARGETS[name].kind, seed), Path(folder))


_SEEDS: dict[str, list[bytes]] = {}


def seeds_of(name: str) -> list[bytes]:
    """Seeds, made once."""
    return _SEEDS.setdefault(name, seeds(name))
