"""What flows between functions: arrays by kind, with their type and the order of their axes.

Z, Y, X run upwards, forwards and to the right on RAS axes, and against x, y, z on a file's own axes, whose last index
runs fastest.
"""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]  # intensities: (C, Z, Y, X), or (Z, Y, X) of one channel
Probabilities = npt.NDArray[np.float32]  # of L classes, the background first: (L, Z, Y, X)
Values = npt.NDArray[np.float32]  # either of them, which are interpolated alike: (..., Z, Y, X)
BinaryMask = npt.NDArray[np.bool_]  # (Z, Y, X), true inside
LabelMask = npt.NDArray[np.integer[Any]]  # (Z, Y, X), values of labels as any file may hold them, 0 for none
StoredMask = npt.NDArray[np.unsignedinteger[Any]]  # (Z, Y, X), values of labels in the type of `value_dtype`
ClassMap = npt.NDArray[np.unsignedinteger[Any]]  # (Z, Y, X), indices of classes in the type of `class_dtype`
Numbers = npt.NDArray[np.float64]  # what is measured or calculated: points, matrices, columns of a table

Scalar = TypeVar("Scalar", bound=np.generic)  # of functions that move voxels of any type, and keep it
Whole = TypeVar("Whole", bound=np.integer[Any])  # of functions that move whole numbers of any type, and keep it


def class_dtype(classes: int) -> type[np.unsignedinteger[Any]]:
    """The smallest type that tells so many classes apart: uint8 or uint16."""
    return value_dtype(classes - 1)


def value_dtype(highest: int) -> type[np.unsignedinteger[Any]]:
    """The smallest type that holds label values from 0 to the highest: uint8 or uint16."""
    return np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16
