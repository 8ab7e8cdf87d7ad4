"""Registration of one label map onto another by the structures that both have: an affine map, then a smooth warp.

Points are drawn around the surface of every structure of the fixed map. Where a point goes in the moving map, the
signed distance to the surface of the same structure there should be what it is here; an affine map from the structures'
centres comes first, then cubic B-splines on finer and finer lattices (Rueckert et al. 1999), whose second differences
are held small. Millimetres in the order (Z, Y, X) from the middle of voxel 0 of each map.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from scipy import ndimage
from torch import Tensor

from hippopt.artifacts.triples import Spacing
from hippopt.imaging.arrays import LabelMask, Numbers, Values

Groups = Mapping[str, Sequence[int]]  # a structure's name -> the values that make it up

REACH_MM = 12.0  # signed distances are cut off there
BAND_MM = 4.0  # points lie as near to a surface
POINTS = 500  # a structure
LATTICES_MM = (40.0, 20.0, 10.0)
STEPS = 25  # of L-BFGS, a lattice
BENDING = 0.02  # weight of the squared second differences of the lattice, against squared distances in mm2
TOLERANCE_MM = 2.0  # beyond it a distance weighs linearly (Huber): volumes of ventricles differ between persons


@dataclass(frozen=True)
class Structure:
    """One structure of a map: its middle (3,), mm, and the signed distance to its surface (Z, Y, X), mm, below 0
    inside, in a box around it.
    """

    centre: Numbers
    first_mm: Numbers  # of the box's first voxel
    distance: Values  # (Z, Y, X)


@dataclass(frozen=True)
class Lattice:
    """Coefficients of a cubic B-spline (3, Z, Y, X), mm, on a regular lattice whose first node lies at `first_mm`."""

    coefficients: Tensor
    first_mm: npt.NDArray[np.float32]
    step_mm: float


@dataclass(frozen=True)
class Warp:
    """Where a point of the fixed map lies in the moving one: matrix @ (point + shifts of the lattices) +
    offset, in mm.
    """

    matrix: Tensor
    offset: Tensor
    lattices: tuple[Lattice, ...]

    def on_grid(self, first_mm: Numbers, shape: tuple[int, int, int], spacing: Spacing) -> Tensor:
        """(3, Z, Y, X): where each voxel of a regular grid lies in the moving map, mm."""
        axes = [
            float(a) + torch.arange(n, dtype=torch.float32) * s
            for a, n, s in zip(first_mm, shape, spacing, strict=True)
        ]
        points = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        for lattice in self.lattices:
            z, y, x = (
                _dense(_weights(axis, float(lattice.first_mm[i]), lattice.step_mm), lattice.coefficients.shape[i + 1])
                for i, axis in enumerate(axes)
            )
            along_x = torch.einsum("dk,cijk->cijd", x, lattice.coefficients)
            points += torch.einsum("ai,cibd->cabd", z, torch.einsum("bj,cijd->cibd", y, along_x))
        return torch.einsum("ij,jzyx->izyx", self.matrix, points) + self.offset[:, None, None, None]


def structures_of(values: LabelMask, spacing: Spacing, groups: Groups) -> dict[str, Structure]:
    """The structures that a map (Z, Y, X) has."""
    found = {}
    margin = np.ceil(REACH_MM / np.array(spacing)).astype(int)
    numbers = np.zeros(int(values.max()) + 1, np.uint8)
    for number, members in enumerate(groups.values(), 1):
        numbers[[value for value in members if value < len(numbers)]] = number
    numbered = numbers[values]
    for number, (name, place) in enumerate(
        zip(groups, ndimage.find_objects(numbered, max_label=len(groups)), strict=True), 1
    ):
        if place is None:
            continue
        inside = np.pad(numbered[place] == number, [(n, n) for n in margin])
        first = np.array([side.start for side in place]) - margin
        distance = ndimage.distance_transform_edt(~inside, spacing) - ndimage.distance_transform_edt(inside, spacing)
        # both transforms measure to the next voxel's middle: the surface lies half a voxel before it
        distance -= np.sign(distance) * min(spacing) / 2
        centre = (np.argwhere(inside).mean(0) + first) * spacing
        found[name] = Structure(
            centre, first * np.array(spacing), distance.clip(-REACH_MM, REACH_MM).astype(np.float32)
        )
    return found


def register(
    fixed: Mapping[str, Structure],
    fixed_spacing: Spacing,
    moving: Mapping[str, Structure],
    moving_spacing: Spacing,
    seed: int,
) -> Warp:
    """The warp that brings the moving map's structures onto the fixed map's.

    Both need at least four structures in common.
    """
    rng = np.random.default_rng(seed)
    shared = [name for name in fixed if name in moving]
    points = [_surface_points(fixed[name], fixed_spacing, rng) for name in shared]
    places = torch.from_numpy(np.concatenate([place for place, _ in points])).float()
    wanted = [torch.from_numpy(distance) for _, distance in points]
    matrix, offset = (
        torch.from_numpy(a).float() for a in _affine_of_centres([fixed[n] for n in shared], [moving[n] for n in shared])
    )
    images = [_Image(moving[name], moving_spacing) for name in shared]

    def mismatch(moved: Tensor) -> Tensor:
        parts = moved.split([len(distances) for distances in wanted])
        each = [
            functional.huber_loss(image.at(part), distance, delta=TOLERANCE_MM)
            for image, part, distance in zip(images, parts, wanted, strict=True)
        ]
        return torch.stack(each).mean()

    middle = places.mean(0)
    offset = offset + matrix @ middle
    _minimise([matrix, offset], lambda: mismatch((places - middle) @ matrix.T + offset))
    shifted = places
    lattices: list[Lattice] = []
    for step in LATTICES_MM:
        lattice = _fit_lattice(places, shifted, step, lambda moved: mismatch((moved - middle) @ matrix.T + offset))
        shifted = shifted + _shift(places, lattice)
        lattices.append(lattice)
    return Warp(matrix, offset - matrix @ middle, tuple(lattices))


def _fit_lattice(places: Tensor, shifted: Tensor, step: float, mismatch: Callable[[Tensor], Tensor]) -> Lattice:
    """The lattice over the (N, 3) places whose shifts, added to
    where coarser lattices left them, lessen the mismatch most.
    """
    low: npt.NDArray[np.float32] = places.amin(0).numpy()
    high: npt.NDArray[np.float32] = places.amax(0).numpy()
    first = low - 2 * step
    shape = [int(n) for n in np.ceil((high - first) / step).astype(int) + 3]
    lattice = Lattice(torch.zeros((3, *shape)), first, step)
    nodes, weights = _sparse(places, lattice)

    def loss() -> Tensor:
        moved = shifted + (lattice.coefficients.flatten(1)[:, nodes] * weights).sum(-1).T
        return mismatch(moved) + BENDING * _bending(lattice.coefficients)

    _minimise([lattice.coefficients], loss)
    return lattice


def _shift(places: Tensor, lattice: Lattice) -> Tensor:
    """(N, 3) mm: what the lattice adds at (N, 3) places."""
    nodes, weights = _sparse(places, lattice)
    return (lattice.coefficients.flatten(1)[:, nodes] * weights).sum(-1).T


class _Image:
    """A structure's signed distances, to be looked up at points."""

    def __init__(self, structure: Structure, spacing: Spacing) -> None:
        self.distance = torch.from_numpy(structure.distance)[None, None]
        self.first = torch.from_numpy(structure.first_mm).float()
        self.length = torch.tensor(
            [(n - 1) * s for n, s in zip(structure.distance.shape, spacing, strict=True)], dtype=torch.float32
        )

    def at(self, points: Tensor) -> Tensor:
        """(N,) distances at (N, 3) mm; beyond the box those of its border."""
        scaled = (points - self.first) * (2 / self.length) - 1
        return functional.grid_sample(
            self.distance, scaled.flip(1)[None, None, None], padding_mode="border", align_corners=True
        )[0, 0, 0, 0]


def _surface_points(
    structure: Structure, spacing: Spacing, rng: np.random.Generator
) -> tuple[Numbers, npt.NDArray[np.float32]]:
    """((N, 3) mm, (N,) signed distances) of voxels near the surface."""
    near = np.argwhere(np.abs(structure.distance) <= BAND_MM)
    chosen = near[rng.choice(len(near), min(POINTS, len(near)), replace=False)]
    return structure.first_mm + chosen * np.array(spacing), structure.distance[tuple(chosen.T)]


def _affine_of_centres(fixed: Sequence[Structure], moving: Sequence[Structure]) -> tuple[Numbers, Numbers]:
    """Least squares: (3, 3) and (3,) that take the centres of `fixed` to those of `moving`."""
    rows = np.array([[*structure.centre, 1.0] for structure in fixed])
    solved = np.linalg.lstsq(rows, np.array([structure.centre for structure in moving]), rcond=None)[0]
    return np.ascontiguousarray(solved[:3].T), solved[3]


def _minimise(parameters: list[Tensor], loss_of: Callable[[], Tensor]) -> None:
    """Change the parameters in place to where the loss is least, by L-BFGS."""
    for parameter in parameters:
        parameter.requires_grad_()
    optimizer = torch.optim.LBFGS(parameters, max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    optimizer.step(closure)
    for parameter in parameters:
        parameter.requires_grad_(False)


def _bending(coefficients: Tensor) -> Tensor:
    """Mean squared second difference along the three axes."""
    return sum((coefficients.diff(n=2, dim=axis) ** 2).mean() for axis in (1, 2, 3))  # type: ignore[return-value]


def _weights(places: Tensor, first: float, step: float) -> tuple[Tensor, Tensor]:
    """Of a cubic B-spline at (N,) places on one axis: (first of the four nodes (N,), weights (N, 4))."""
    at = (places - first) / step
    node = at.floor()
    t = at - node
    weights = torch.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1) / 6
    return node.long() - 1, weights


def _dense(weights: tuple[Tensor, Tensor], nodes: int) -> Tensor:
    """(N, nodes) matrix of the weights; nodes beyond the lattice count as 0."""
    first, values = weights
    index = first[:, None] + torch.arange(4)
    inside = (index >= 0) & (index < nodes)
    return torch.zeros(len(first), nodes).scatter_add_(1, index.clamp(0, nodes - 1), values * inside)


def _sparse(places: Tensor, lattice: Lattice) -> tuple[Tensor, Tensor]:
    """(N, 64) flat indices of the nodes around each of the (N, 3) places, which lie in the lattice, and
    their weights.
    """
    near = [_weights(places[:, axis], float(lattice.first_mm[axis]), lattice.step_mm) for axis in range(3)]
    (z, wz), (y, wy), (x, wx) = ((first[:, None] + torch.arange(4), weights) for first, weights in near)
    _, _, rows, columns = lattice.coefficients.shape
    nodes = (z[:, :, None, None] * rows + y[:, None, :, None]) * columns + x[:, None, None, :]
    weights = wz[:, :, None, None] * wy[:, None, :, None] * wx[:, None, None, :]
    return nodes.flatten(1), weights.flatten(1)
