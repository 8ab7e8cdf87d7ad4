"""How long folds side by side will take is said once, by what they have done since they began."""

from hippopt.console import SilentConsole
from hippopt.recipes.folds_side_by_side import _Pace


def test_the_rest_is_told_by_the_pace_so_far() -> None:
    now, console = [0.0], SilentConsole()
    pace = _Pace(console, 5, begun=1.0, clock=lambda: now[0])
    for seconds, done in ((5.0, 1.5), (60.0, 1.1), (120.0, 1.5), (240.0, 2.0)):
        now[0] = seconds  # too soon, too little, told, told already
        pace.look(done)
        assert len(console.lines) == (seconds >= 120)
    # half a fold in two minutes, so that the other three and a half take fourteen
    assert console.lines == ["training of the 5 folds: about 14 min to go; validation comes on top"]


def test_what_is_done_at_once_is_not_told() -> None:
    now, console = [0.0], SilentConsole()
    pace = _Pace(console, 2, begun=0.0, clock=lambda: now[0])
    now[0] = 100.0
    pace.look(2.0)
    assert console.lines == []
