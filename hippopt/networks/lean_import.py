"""Import MONAI without what it brings along and hippopt never
uses: this saves over four seconds of a command that may need ten.
"""

import importlib.util
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from threading import get_ident
from types import ModuleType

# `import monai` imports every part of it, and with them these where they are installed: transformers (it comes with the
# extra for LoRA) for a network that hippopt has no use for, matplotlib for notebooks, the others for transforms and
# metrics
NEEDLESS = ("transformers", "matplotlib", "pandas", "sklearn", "skimage", "scipy.signal")


def import_monai_lean() -> None:
    """Let MONAI, when this process first imports it, be its networks and inferers, without its other parts and as if
    NEEDLESS were not installed.

    Nothing is imported yet. Afterwards NEEDLESS can be imported as ever, and MONAI's other parts by their full names
    (`import monai.losses`). For commands only: in their process MONAI's own uses of NEEDLESS stay unavailable, which a
    caller from Python may want.
    """
    if "monai" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Stands before the usual finders until MONAI is imported, and hides NEEDLESS from the thread that imports it: what
    another thread imports meanwhile is nobody's business.
    """

    def __init__(self) -> None:
        self.thread: int | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse what is hidden, wrap MONAI's loader, and leave all else to the next finder."""
        if fullname in NEEDLESS and self.thread == get_ident():
            raise ModuleNotFoundError(f"hidden from MONAI by a command of hippopt: {fullname}", name=fullname)
        if fullname != "monai":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("monai")
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader(Loader):
    """Loads MONAI as its own loader does, with NEEDLESS hidden."""

    def __init__(self, own: Loader, finder: _Finder) -> None:
        self.own, self.finder = own, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As its own loader does."""
        return self.own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Import MONAI and the parts that hippopt uses, and give the module its own loader back."""
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self.own
        self.finder.thread = get_ident()
        sys.meta_path.insert(0, self.finder)
        try:
            with _without_walk():
                self.own.exec_module(module)
            importlib.import_module("monai.apps")  # first, as MONAI's own walk has it: its parts import each other
            importlib.import_module("monai.inferers")
            importlib.import_module("monai.networks.nets")
        finally:
            sys.meta_path.remove(self.finder)


@contextmanager
def _without_walk() -> Iterator[None]:
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
