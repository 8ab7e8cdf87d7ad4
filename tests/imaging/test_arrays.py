import numpy as np
import pytest

from hippopt.imaging.arrays import class_dtype, value_dtype


@pytest.mark.parametrize(("highest", "dtype"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_label_values_take_the_smallest_type_that_holds_the_highest(highest: int, dtype: type) -> None:
    assert value_dtype(highest) is dtype
    assert np.array([highest]).astype(value_dtype(highest))[0] == highest


@pytest.mark.parametrize(("classes", "dtype"), [(2, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_classes_take_the_smallest_type_that_tells_them_apart(classes: int, dtype: type) -> None:
    assert class_dtype(classes) is dtype
    assert len(np.unique(np.arange(classes).astype(class_dtype(classes)))) == classes
