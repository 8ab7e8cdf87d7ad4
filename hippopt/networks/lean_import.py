"""Import MONAI without packages that it imports and hippopt never
uses: this saves over two seconds of a command that may need ten.
"""

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
    """Import MONAI as if NEEDLESS were not installed; afterwards they can be imported as ever.

    For commands only: in their process MONAI's own uses of them stay unavailable, which a caller from Python may want.
    """
    if "monai" not in sys.modules:
        with _hidden(NEEDLESS):
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
