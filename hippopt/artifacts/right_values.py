"""What may stand in a record's field, in words, for the message about a value that does not fit."""

import re
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

PATH = re.compile(r"`\$(.*?)`")


def right_values(kind: type[msgspec.Struct], error: msgspec.ValidationError) -> str:
    """What the field that the error names may hold, such as `one of diagonal, dense`; empty where that
    cannot be told.
    """
    found = PATH.search(str(error))
    wanted: Any = kind
    for part in re.findall(r"\.(\w+)|(\[[^\]]*\])", found[1] if found else ""):
        wanted = _inside(wanted, part[0])
    return "" if wanted is kind or wanted is None else describe(wanted)


def describe(wanted: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(wanted), [own for own in get_args(wanted) if own is not msgspec.UnsetType]
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (Union, types.UnionType):
        return " or ".join("null (none)" if own is type(None) else describe(own) for own in arguments)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"a list, each {describe(arguments[0])}"
        return f"{len(arguments)} values separated by commas, each {describe(arguments[0])}"
    if origin is dict:
        return f"an object, each value {describe(arguments[1])}"
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return f"an object with the keys {', '.join(wanted.__struct_fields__)}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}.get(wanted, "")


def _inside(wanted: Any, name: str) -> Any:
    """The type of a field, or of an element where `name` is empty; None where there is none."""
    options = (
        [own for own in get_args(wanted) or (wanted,) if own is not type(None)]
        if get_origin(wanted) in (Union, types.UnionType)
        else [wanted]
    )
    for own in options:
        if name and isinstance(own, type) and issubclass(own, msgspec.Struct):
            return get_type_hints(own).get(name)
        if not name and get_origin(own) is tuple:
            return get_args(own)[0]
        if get_origin(own) is dict:
            return get_args(own)[1]
    return None
