"""LoRA-PT: low-rank adaptation of stacks of same-shaped weights by principal tensor singular values and vectors.

A stand-alone library: it needs torch alone. Source: He, Cheng, Zhu, Yu, arXiv 2407.11292; t-product and t-SVD: Kilmer
and Martin 2011. A third-order tensor is (K, m, n) here: K frontal slices, each an m x n matrix. The slices are weights
of linear layers of one shape, or the positions of the kernel of one convolution.

    stack = Stack("mlp", tuple(Slot(f"layers.{i}.weight", 0, 256) for i in range(8)))
    adaptation = adapt(model, [stack], rank=4)      # the model computes what it did before
    ...                                             # train model.lorapt.parameters()
    adaptation.merge()                              # plain weights again, keys and shapes as before
"""

from hippopt.lorapt.adaptation import Adaptation, adapt
from hippopt.lorapt.factors import Core, Factors, RankError, factor_count
from hippopt.lorapt.layer import Path, cheaper_path
from hippopt.lorapt.stack import Position, Slot, Stack, StackError, gather, kernel_stack
from hippopt.lorapt.tensor_algebra import t_identity, t_product, t_transpose
from hippopt.lorapt.tensor_svd import TensorSVD, t_svd

__all__ = [
    "Adaptation",
    "Core",
    "Factors",
    "Path",
    "Position",
    "RankError",
    "Slot",
    "Stack",
    "StackError",
    "TensorSVD",
    "adapt",
    "cheaper_path",
    "factor_count",
    "gather",
    "kernel_stack",
    "t_identity",
    "t_product",
    "t_svd",
    "t_transpose",
]
