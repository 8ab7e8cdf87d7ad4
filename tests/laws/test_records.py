"""Records to JSON and back, and files that appear whole or not at all."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippopt.artifacts.calibration import Calibration
from hippopt.artifacts.codec import (
    SCHEMA,
    Record,
    atomic_path,
    canonical_json,
    content_hash,
    decode,
    dump_text,
    load_record,
    parse_json,
    remove_leftovers,
    write_atomically,
    write_bytes,
    write_json,
)
from hippopt.artifacts.cohort import Cohort
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.grid import Grid
from hippopt.artifacts.model_file import ModelManifest, UsualContrast
from hippopt.artifacts.part_borders import PartBorder, PartBorders
from hippopt.artifacts.plan import AugmentationSettings, Plan
from hippopt.artifacts.properties import CacheEntry
from hippopt.artifacts.weights import AdapterCard, BaseCard, FactorsRecord, LocatorCard
from hippopt.errors import OutputError, PlanError
from tests.records import front_and_back, small_plan


class Part(Record, frozen=True, kw_only=True):
    """A record that was given an option."""

    x: int
    added: tuple[int, ...] = ()


numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SOURCE = Path("file.json")


def records(kind: type[msgspec.Struct]) -> st.SearchStrategy[msgspec.Struct]:
    """Any values of the right types; schema is what this version writes."""
    fields = {
        field.name: st.just(field.default) if field.name == "schema" else _values(field.type)
        for field in msgspec.structs.fields(kind)
    }
    return st.fixed_dictionaries(fields).map(lambda values: kind(**values))


@st.composite
def part_borders(draw: st.DrawFn) -> PartBorders:
    """Sound ones: others cannot be made."""
    parts = draw(st.lists(words, min_size=2, max_size=4, unique=True))
    count = draw(st.integers(0, 3))
    row = st.tuples(*[numbers] * count)
    scale = st.tuples(*[st.floats(min_value=1e-6, max_value=1e6)] * count)
    border = st.builds(PartBorder, offset=numbers, centre=row, scale=scale, weights=row)
    return PartBorders(
        axis=draw(st.integers(0, 2)),
        parts=tuple(parts),
        borders=tuple(draw(border) for _ in parts[1:]),
        cases=draw(st.integers(0, 99)),
        misplaced=draw(numbers),
    )


def _values(kind: object) -> st.SearchStrategy:
    found = msgspec.inspect.type_info(kind)
    if isinstance(found, msgspec.inspect.UnionType):
        return st.one_of([_info(part) for part in found.types])
    return _info(found)


def _info(found: msgspec.inspect.Type) -> st.SearchStrategy:
    match found:
        case msgspec.inspect.StructType(cls=cls) if cls is PartBorders:
            return part_borders()
        case msgspec.inspect.StructType(cls=cls):
            return records(cls)
        case msgspec.inspect.IntType():
            return st.integers(-(2**53), 2**53)
        case msgspec.inspect.FloatType():
            return numbers
        case msgspec.inspect.StrType():
            return words
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case msgspec.inspect.TupleType(item_types=items):
            return st.tuples(*[_union(item) for item in items])
        case msgspec.inspect.VarTupleType(item_type=item):
            return st.lists(_union(item), max_size=2).map(tuple)
        case msgspec.inspect.DictType(value_type=value):
            return st.dictionaries(words, _union(value), max_size=2)
        case msgspec.inspect.AnyType():
            return st.one_of(numbers, words, st.lists(st.integers(-9, 9), max_size=2))
    raise AssertionError(f"no strategy for {found}")


def _union(found: msgspec.inspect.Type) -> st.SearchStrategy:
    if isinstance(found, msgspec.inspect.UnionType):
        return st.one_of([_info(part) for part in found.types])
    return _info(found)


KINDS = [
    Grid,
    CacheEntry,
    AugmentationSettings,
    BaseCard,
    AdapterCard,
    FactorsRecord,
    LocatorCard,
    ModelManifest,
    UsualContrast,
    Cohort,
    Calibration,
    Fingerprint,
    Plan,
]  # the others are parts of these


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_to_json_and_back(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    record = data.draw(records(kind))
    text = dump_text(msgspec.to_builtins(record))
    again = decode(parse_json(text, SOURCE), kind, SOURCE)  # type: ignore[type-var]
    assert again == record
    assert content_hash(again) == content_hash(record)
    assert json.loads(canonical_json(record)) == json.loads(text)


@pytest.mark.parametrize("record", [small_plan(), front_and_back(2)], ids=["plan", "fingerprint"])
def test_through_a_file(record: Plan | Fingerprint, tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    write_json(path, record)
    assert load_record(path, type(record), "make it") == record
    assert path.stat().st_mode & 0o444  # readable as the umask allows, unlike a bare temporary file


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=30,
)  # fmt: skip


@given(value=json_values)
def test_text_for_people_is_json(value: object) -> None:
    assert json.loads(dump_text(value)) == value


def test_equal_content_equal_hash() -> None:
    assert content_hash({"a": 1, "b": [1.5, 2]}) == content_hash({"b": [1.5, 2], "a": 1})
    assert content_hash(small_plan()) == content_hash(small_plan())
    assert content_hash(small_plan(seed=1)) != content_hash(small_plan())


def test_a_new_option_at_its_default_leaves_the_hash() -> None:
    """Plans and models of an earlier version stay valid; any other value of the option counts."""

    class Old(Record, frozen=True, kw_only=True):
        schema: int = 1
        inner: dict[str, Part]

    assert content_hash(Old(inner={"a": Part(x=1)})) == content_hash({"schema": 1, "inner": {"a": {"x": 1}}})
    assert content_hash(Old(inner={"a": Part(x=1, added=(2,))})) == content_hash(
        {"schema": 1, "inner": {"a": {"x": 1, "added": [2]}}}
    )


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda data: data.update(patch_sizes=[16, 16, 16]), "patch_sizes"),
        (lambda data: data["network"].update(depth=12), "depth"),  # unknown keys are refused at any depth
        (lambda data: data.pop("batch_size"), "batch_size"),
        (lambda data: data.update(patch_size=[16, 16]), "patch_size"),
        (lambda data: data.update(crop="some"), "crop"),
        (lambda data: data["network"].update(hidden_size="large"), "hidden_size"),
        (lambda data: data.update(schema=SCHEMA + 1), "schema"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(edit: object, found: str, tmp_path: Path) -> None:
    data = json.loads(canonical_json(small_plan()))
    edit(data)  # type: ignore[operator]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(data))
    with pytest.raises(PlanError) as caught:
        load_record(path, Plan, "hippopt_plan")
    assert str(path) in str(caught.value) and found in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1,}', b"\xff\xfe\x00", b"[1, 2]", b"null"])
def test_damaged_files_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(PlanError, match=r"plan\.json"):
        load_record(path, Plan, "hippopt_plan")


def test_a_missing_record_names_its_command(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="run `hippopt_plan 4` first"):
        load_record(tmp_path / "plan.json", Plan, "hippopt_plan 4")


def test_atomic_writing_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    with atomic_path(path) as temporary:
        assert temporary.parent == tmp_path and temporary.name.endswith(".nii.gz")  # image libraries go by the ending
        temporary.write_bytes(b"old")
        assert not path.exists()
    assert path.read_bytes() == b"old"
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert [found.name for found in tmp_path.iterdir()] == ["scan.nii.gz"]


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(ValueError("bad"), ValueError), (KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "full"), OutputError)],
)
def test_a_failing_writer_leaves_the_old_file(raised: BaseException, seen: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise raised

    with pytest.raises(seen):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["plan.json"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        write_json(tmp_path / "file" / "plan.json", {})


def test_leftovers_of_a_killed_process(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text("")
    (tmp_path / ".tmp-abc.json").write_text("")
    remove_leftovers(tmp_path)
    assert [found.name for found in tmp_path.iterdir()] == ["kept.json"]
