"""A misspelt option is answered with the options that it may have meant, also where another one is missing."""

import pytest

from hippopt.cli.command import near_options
from tests.synthetic import Command


@pytest.mark.parametrize(
    ("command", "given", "meant"),
    [
        ("train", ["Blob", "0", "--metod", "full"], "--method"),
        ("train", ["Blob", "0", "--learning_rate", "1"], "--learning-rate"),
        ("predict", ["--overwite"], "--overwrite"),  # -i and -o are missing as well
    ],
)
def test_near_matches_are_named(command: str, given: list[str], meant: str, run_command: Command) -> None:
    code, _, err = run_command(command, *given)
    assert code == 2 and "near matches" in err and meant in err.splitlines()[-1]


def test_abbreviations_values_and_strangers_have_none() -> None:
    known = ["-h", "--help", "--overwrite", "--save-uncertainty"]
    assert near_options(["--over", "--save-uncertainty=1", "-x", "word", "--"], known) == ""
    assert near_options(["--zzzzzzzz"], known) == ""
    assert near_options(["--overwritte=3", "--overwritte"], known) == "; --overwritte: near matches: --overwrite"
