"""Templates to files: jinja2 with everything escaped, and the pages' own style and scripts written into them."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hippopt import __version__
from hippopt.artifacts.codec import write_bytes
from hippopt.errors import OutputError

if TYPE_CHECKING:
    from jinja2 import Environment

MARK = b'<meta name="generator" content="hippopt'
HEAD_BYTES = 2000  # in which the mark stands
COMMON = "appearance.js"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = PackageLoader("hippopt.reporting.pages", "assets")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )

    def asset(name: str) -> Markup:
        return Markup(loader.get_source(environment, name)[0])  # our own file, with no text of a user in it

    environment.globals |= {"asset": asset, "version": __version__}
    return environment


def render(template: str, context: Mapping[str, Any], scripts: tuple[str, ...] = ()) -> bytes:
    """A page as UTF-8. scripts: names of files of ours that run in it, after those that every page has."""
    text = _environment().get_template(template).render(**context, scripts=(COMMON, *scripts))
    return text.encode("utf-8", errors="backslashreplace")


def check_page(path: Path, overwrite: bool) -> None:
    """Raises OutputError where a file that is no page of ours stands in the way, unless it may be overwritten."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; give the name of a file, such as {path / 'report.html'}")
    if overwrite or not path.exists():
        return
    with path.open("rb") as stream:
        if MARK not in stream.read(HEAD_BYTES):
            raise OutputError(
                f"{path}: is there already and no page of hippopt; choose another -o, or replace it with --overwrite"
            )


def write_page(path: Path, page: bytes) -> int:
    """Write a page atomically; its size in bytes."""
    write_bytes(path, page)
    return len(page)
