"""Arrays say of which type they are: no signature, field, constant or alias of the package has a bare `np.ndarray`."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "hippopt"
ASKING = ("isinstance", "issubclass")  # what is asked at run time has no type of its values


def bare_arrays(source: str) -> Iterator[int]:
    """The lines on which `ndarray` or `NDArray` stands without the type of its values.

    Names in quotation marks count too where they are annotations; questions at run time do not.
    """
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ASKING:
            continue
        if isinstance(node, ast.Subscript) and _is_array(node.value):
            children.remove(node.value)
        if _is_array(node):
            yield node.lineno
        for field in ("annotation", "returns"):
            written = getattr(node, field, None)
            if isinstance(written, ast.Constant) and isinstance(written.value, str):
                yield from (written.lineno for _ in bare_arrays(written.value))
        waiting += children


def _is_array(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in ("ndarray", "NDArray")


def test_a_bare_array_is_found_wherever_it_stands() -> None:
    source = """
def first(image: np.ndarray, *rest: np.ndarray, mask: "np.ndarray | None" = None) -> tuple[np.ndarray, int]: ...
class Record:
    image: npt.NDArray
    def method(self) -> list[ndarray]: ...
Part = tuple[slice, np.ndarray]
Look = Callable[[np.ndarray], None]
LIMITS: np.ndarray = made()
"""
    assert sorted(bare_arrays(source)) == [2, 2, 2, 2, 4, 5, 6, 7, 8]


def test_typed_arrays_and_questions_at_run_time_are_let_be() -> None:
    source = """
def first(image: npt.NDArray[np.float32], shape: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> NDArray[Any]:
    return image if isinstance(image, np.ndarray) else np.asarray(image)
"""
    assert list(bare_arrays(source)) == []


def test_all_arrays_of_the_package_have_a_type() -> None:
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 300
    bare = [f"{module}:{line}" for module in modules for line in bare_arrays(module.read_text())]
    assert not bare, f"{bare}: give arrays the type of their values; hippopt/imaging/arrays.py names the kinds"
