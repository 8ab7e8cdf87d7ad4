"""What a stage may say while it works. The command line supplies a console that prints; tests and the API
are silent.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


def some_of(names: Sequence[str], most: int = 3) -> str:
    """The first names of a list, and dots where there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def counted(number: int, noun: str) -> str:
    """`1 scan`, `2 scans`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Console(Protocol):
    """Receives the messages and the progress of a stage."""

    def say(self, text: str) -> None:
        """Show one line of information."""

    def warn(self, text: str) -> None:
        """Show one line that the user should act on."""

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Yield `items`, showing progress under `label`."""

    def result(self, **figures: Any) -> None:
        """Give figures that a program reads: plain data by name, shown with `--json` alone."""


class SilentConsole:
    """Says nothing; keeps the warnings for whoever asks."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.results: dict[str, Any] = {}

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        yield from items

    def result(self, **figures: Any) -> None:
        self.results |= figures
