"""What a stranger calls says what it takes, gives and raises: Args, Returns and Raises in Google's style."""

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^(Args|Returns|Yields|Raises):$", re.MULTILINE)
OTHERS = {  # public ways in that are no stages
    "hippopt/lorapt/tensor_svd.py": ("t_svd",),
    "hippopt/lorapt/adaptation.py": ("adapt",),
    "hippopt/inference/segmentation.py": ("segment",),
    "hippopt/predictor.py": ("Predictor.load", "Predictor.predict"),
    "hippopt/training/loop.py": ("train",),
}


@dataclass(frozen=True)
class Module:
    """functions: by name, methods as CLASS.NAME; imported: name here -> (module's file, name there)."""

    functions: dict[str, ast.FunctionDef]
    imported: dict[str, tuple[Path, str]]


@cache
def parsed(path: Path) -> Module:
    tree = ast.parse(path.read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for owner in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        functions |= {f"{owner.name}.{node.name}": node for node in owner.body if isinstance(node, ast.FunctionDef)}
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hippopt."):
            file = ROOT / (str(node.module).replace(".", "/") + ".py")
            imported |= {name.asname or name.name: (file, name.name) for name in node.names}
    return Module(functions, imported)


def imported_from_stages() -> dict[Path, set[str]]:
    """Names that the rest of the package imports from each stage."""
    found: dict[Path, set[str]] = {}
    for path in (ROOT / "hippopt").rglob("*.py"):
        for file, name in parsed(path).imported.values():
            if file.parent.name == "stages":
                found.setdefault(file, set()).add(name)
    return found


def main_functions() -> Iterator[tuple[Path, str]]:
    """Of each stage the function that bears its name; where none does, every function that is imported elsewhere."""
    for stage, names in imported_from_stages().items():
        functions = parsed(stage).functions
        own = {stage.stem} & set(functions) or names & set(functions)
        yield from ((stage, name) for name in sorted(own))


WAYS_IN = sorted({*main_functions(), *((ROOT / file, name) for file, names in OTHERS.items() for name in names)})


def sections(docstring: str) -> dict[str, str]:
    """Title -> text below it."""
    parts = SECTION.split(docstring)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(text: str) -> list[str]:
    """Names before the colon of each entry; the entries are the least indented lines."""
    lines = [line for line in text.splitlines() if line.strip()]
    least = min(len(line) - len(line.lstrip()) for line in lines)
    return [line.strip().partition(":")[0] for line in lines if len(line) - len(line.lstrip()) == least]


def raises(path: Path, name: str, seen: frozenset[tuple[Path, str]] = frozenset()) -> bool:
    """Whether a function raises, as far as can be read: by a `raise` of its own or of a function of its module that it
    calls, or by a function of the package whose docstring says so. What a `try` with handlers holds does not count.
    """
    if (path, name) in seen:
        return False
    module = parsed(path)
    for node in uncaught(module.functions[name]):
        if isinstance(node, ast.Raise):
            return True
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        called = node.func.id
        if called in module.functions and raises(path, called, seen | {(path, name)}):
            return True
        file, there = module.imported.get(called, (path, ""))
        if there and file.exists() and there in parsed(file).functions:
            said = ast.get_docstring(parsed(file).functions[there]) or ""
            if re.search(r"\bRaises\b", said):
                return True
    return False


def uncaught(node: ast.AST) -> Iterator[ast.AST]:
    """Every node inside, but for the bodies of `try` that have handlers."""
    for field in ast.iter_child_nodes(node):
        if isinstance(node, ast.Try) and node.handlers and field in node.body:
            continue
        yield field
        yield from uncaught(field)


def known_error(name: str) -> bool:
    """Whether it is the name of an exception: of the package, of Python, or with its library before it."""
    if hasattr(builtins, name) or name == "torch.OutOfMemoryError":
        return True
    files = (ROOT / "hippopt/errors.py", *(ROOT / "hippopt/lorapt").glob("*.py"))
    return any(re.search(rf"^class {re.escape(name)}\(", file.read_text(), re.MULTILINE) for file in files)


def faults(path: Path, name: str) -> list[str]:
    """What the docstring of a function lacks or has too much of."""
    function = parsed(path).functions[name]
    found = sections(ast.get_docstring(function) or "")
    given = function.args
    parameters = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    parameters = [each for each in parameters if each not in ("self", "cls")]
    parameters += [f"**{given.kwarg.arg}"] if given.kwarg else []
    told = entries(found["Args"]) if "Args" in found else []
    gives = isinstance(function.returns, ast.Constant) and function.returns.value is None
    wrong = [f"Args: {told}, but its parameters are {parameters}"] if sorted(told) != sorted(parameters) else []
    wrong += [] if gives != ("Returns" in found) else [f"{'no ' if gives else ''}return value, but the other is said"]
    if "Raises" in found:
        wrong += [f"Raises: {error} is no error" for error in entries(found["Raises"]) if not known_error(error)]
    elif raises(path, name):
        wrong.append("raises, but has no section Raises")
    return wrong


@pytest.mark.parametrize(("path", "name"), WAYS_IN, ids=[f"{path.stem}.{name}" for path, name in WAYS_IN])
def test_a_way_in_says_what_it_takes_gives_and_raises(path: Path, name: str) -> None:
    assert not faults(path, name)


def test_every_stage_has_a_main_function() -> None:
    stages = {path for path in (ROOT / "hippopt/stages").glob("*.py") if path.stem != "__init__"}
    assert {path for path, _ in main_functions()} == stages


EXAMPLES = '''
def told(a, *, b, **c) -> int:
    """Do it.

    Args:
        a: one.
            Of more lines: two.
        b: another.
        **c: the rest.

    Returns:
        A number.

    Raises:
        ValueError: always.
    """
    raise ValueError

def quiet(a) -> None:
    """Do it.

    Args:
        a: one.
    """
    try:
        told(a, b=1)
    except ValueError:
        pass

def by_another(a) -> None:
    """Do it.

    Args:
        a: one.
    """
    told(a, b=1)

def forgotten(a, b) -> int:
    """Do it.

    Args:
        a: one.
    """

def invented() -> None:
    """Do it.

    Raises:
        The usual: always.
    """
'''


def test_what_is_lacking_is_found(tmp_path: Path) -> None:
    path = tmp_path / "examples.py"
    path.write_text(EXAMPLES)
    assert faults(path, "told") == faults(path, "quiet") == []
    assert faults(path, "by_another") == ["raises, but has no section Raises"]
    assert len(faults(path, "forgotten")) == 2
    assert faults(path, "invented") == ["Raises: The usual is no error"]
