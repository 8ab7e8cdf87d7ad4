"""The command line on a card: what made it, and no folder of the machine that it was made on."""

import pytest

from hippopt.artifacts.recorded_command import recorded_command


def test_paths_are_names_and_texts_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["/opt/bin/x.py", "--synthetic", "/data/maps", "../more/maps_2/", "--resume", "--steps", "5", "--overwrite"]
    monkeypatch.setattr("sys.argv", [*given, "--attribution", "Maps: A/B 2023, 'CC0'"])
    assert recorded_command("hippopt_pretrain") == (
        "hippopt_pretrain --synthetic maps maps_2 --steps 5 --attribution 'Maps: A/B 2023, '\"'\"'CC0'\"'\"''"
    )
