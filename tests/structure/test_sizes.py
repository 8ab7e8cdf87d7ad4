"""The sizes to which the package keeps itself: parameters of a function, lines of a module, share of a room."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "hippopt"
MOST_PARAMETERS = 7  # more belong into a record
LARGEST_ROOM = 1 / 8  # of the code: a larger one holds things of more than one kind
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Name and number of parameters of every function, method and lambda.

    `self` and `cls` are not counted; `*arguments` and `**options` count as one each.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            given = node.args
            names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            names += [each.arg for each in (given.vararg, given.kwarg) if each is not None]
            yield getattr(node, "name", "lambda"), len(names) - (names[:1] in (["self"], ["cls"]))


def test_parameters_are_counted_as_they_are_said_to_be() -> None:
    source = """
class Counted:
    def method(self, a, /, b, *c, d=1, **e): ...
    @classmethod
    def made(cls): ...
def plain(a, b): return lambda x, y, z: x
async def later(*, a): ...
"""
    assert dict(functions(source)) == {"method": 5, "made": 0, "plain": 2, "lambda": 3, "later": 1}


def test_no_function_has_more_parameters_than_a_reader_can_keep_apart() -> None:
    counted = [(module, *each) for module in PACKAGE.rglob("*.py") for each in functions(module.read_text())]
    many = [f"{module}: {name} has {count}" for module, name, count in counted if count > MOST_PARAMETERS]
    assert not many, f"more than {MOST_PARAMETERS} parameters; make a record of those that belong together: {many}"
    assert len(counted) > 1000


def lines_by_room() -> Counter[str]:
    """Lines that are not blank, by top-level folder of the package; the modules beside them count as the room `""`."""
    found: Counter[str] = Counter()
    for module in PACKAGE.rglob("*.py"):
        room, _, rest = str(module.relative_to(PACKAGE)).partition("/")
        found[room if rest else ""] += sum(bool(line.strip()) for line in module.read_text().splitlines())
    return found


def test_no_room_holds_more_than_an_eighth_of_the_code() -> None:
    lines = lines_by_room()
    total = sum(lines.values())
    assert len(lines) > 10 and total > 20_000  # all of the package is counted
    large = {room: f"{count / total:.1%}" for room, count in lines.items() if count > LARGEST_ROOM * total}
    assert not large, f"{large} of {total} lines; docs/decisions/0016-rooms-below-an-eighth.md says what belongs where"
