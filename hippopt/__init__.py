"""hippopt: a self-configuring hippocampus segmenter that adapts a pre-trained UNETR with LoRA-PT."""

from typing import Any

from hippopt.surroundings import name_the_user

__version__ = "0.1.0"
__all__ = ["Prediction", "Predictor", "__version__"]

name_the_user()


def __getattr__(name: str) -> Any:
    """The Python interface, loaded when it is first asked for: it takes torch along, which `--help` need
    not wait for.
    """
    if name in ("Predictor", "Prediction"):
        from importlib import import_module

        return getattr(import_module("hippopt.predictor"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
