"""Import MONAI without what it brings along and hippopt never
uses: this saves over two seconds of a command that may need ten.
"""

import pkgutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# `import monai` imports every part of it, and with them these where they are installed: transformers (it comes with the
# extra for LoRA) for a network that hippopt has no use for, matplotlib for notebooks, the others for transforms and
# metrics
NEEDLESS = ("transformers", "matplotlib", "pandas", "sklearn", "skimage", "scipy.signal")


def import_monai() -> None:
    """Import MONAI's networks and inferers, without its other parts and as if NEEDLESS were not installed.

    Everything can be imported as ever afterwards. For commands only: in their process MONAI's own uses of NEEDLESS stay
    unavailable, which a caller from Python may want.
    """
    if "monai" not in sys.modules:
        with _hidden(NEEDLESS):
            with _without_walk():
                import monai
            import monai.apps  # first, as MONAI's own walk has it: its parts import each other in a circle
            import monai.inferers
            import monai.networks.nets  # noqa: F401


@contextmanager
def _hidden(names: tuple[str, ...]) -> "Iterator[None]":
    names = tuple(name for name in names if name not in sys.modules)
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # None makes an import fail
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


@contextmanager
def _without_walk() -> "Iterator[None]":
    """Let `import monai` find no modules of its own to import: it walks over all of them otherwise, 430 and more."""
    walk = pkgutil.walk_packages
    pkgutil.walk_packages = lambda *_, **__: iter(())  # type: ignore[assignment]
    try:
        yield
    finally:
        pkgutil.walk_packages = walk
        module = sys.modules.get("monai.utils.module")
        if module is not None and hasattr(module, "walk_packages"):
            module.walk_packages = walk  # type: ignore[attr-defined]  # MONAI took the name while it stood for nothing
