"""One target under atheris, which keeps inputs that reach new code: `python -m tests.fuzzing` starts this."""

import random
import sys
from pathlib import Path
from tempfile import mkdtemp

import atheris

with atheris.instrument_imports(include=["hippopt"]):
    from tests.fuzzing.mutators import mutated
    from tests.fuzzing.targets import TARGETS, accepts

OWN_SHARE = 0.6  # of changes: ours, which know the kind of file; the others are libFuzzer's


def main() -> None:
    """Arguments: the target, then libFuzzer's own. Never returns."""
    name = sys.argv.pop(1)
    target, folder = TARGETS[name], Path(mkdtemp())

    def change(data: bytes, most: int, seed: int) -> bytes:
        if random.Random(seed).random() < OWN_SHARE:
            return mutated(data, target.kind, seed)[:most]
        return bytes(atheris.Mutate(data, most))

    atheris.Setup(sys.argv, lambda data: accepts(target, bytes(data), folder) and None, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
