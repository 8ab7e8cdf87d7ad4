"""The examples of docs/lora_pt.md, run as they stand."""

import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "lora_pt.md"
TEXT = PAGE.read_text()
EXAMPLES = [
    (TEXT[: found.start()].count("\n") + 2, found.group(1))
    for found in re.finditer(r"```python\n(.*?)```", TEXT, re.DOTALL)
]


@pytest.mark.parametrize(("line", "code"), EXAMPLES, ids=[f"line {line}" for line, _ in EXAMPLES])
def test_the_examples_run(line: int, code: str) -> None:
    torch.manual_seed(0)
    exec(compile("\n" * (line - 1) + code, str(PAGE), "exec"), {})


def test_the_page_shows_a_unetr_a_vit_and_an_mlp_stack_and_that_they_compute_the_same() -> None:
    shown = [code for _, code in EXAMPLES if "adapt(" in code]
    for words in ("unetr_stacks(", "ViT(", "nn.Sequential("):
        assert any(words in code and "assert_close(" in code for code in shown), words
