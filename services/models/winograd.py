"""3x3 convolutions with a quarter of the multiplications (Winograd's F(4x4, 3x3)).

Every 4x4 square of a result is made from the 6x6 square of features around it: transformed, it is
multiplied place by place instead of being convolved, 36 products of channels in place of 144. What
is left are matrix products, which take as long as copying does from 128 channels on.

Promises: a row's result is the same, bit for bit, whatever the other rows are and however many.
Autograd can follow it. In float32 its error is that of a direct convolution with channels last.

Source: Lavin and Gray 2016 (arXiv 1509.09308); the matrices are those of Toom and Cook for the
points 0, 1, -1, 1/2, -2 and infinity, with which the error is half of that with the usual 2 in
place of 1/2 (Barabasz et al. 2020, arXiv 1803.10986).
"""

from fractions import Fraction
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

OUT, TAPS, SIDE = 4, 3, 6
POINTS: Final = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))
LEAST_CHANNELS, LEAST_SIDE = 128, 16
TILES_AT_ONCE: Final = 512  # so that what lies between two steps stays in the processor's cache


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether this is quicker for features (n, c, h, w) than the direct form is."""
    wide = min(weight.shape[:2]) >= LEAST_CHANNELS and min(x.shape[2:]) >= LEAST_SIDE
    return wide and weight.shape[2:] == (TAPS, TAPS) and x.dtype == torch.float32


class Convolve:
    """A plain convolution to the same size, whose weight is transformed when that first pays."""

    def __init__(self) -> None:
        self._transformed: Winograd | None = None

    def __call__(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, *, winograd: bool
    ) -> Tensor:
        """(n, in, h, w) -> (n, out, h, w); with `winograd` the weight must be the first one's."""
        if not (winograd and pays(x, weight)):
            return functional.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
        if self._transformed is None:
            with torch.inference_mode(mode=False), torch.no_grad():  # autograd may meet it later
                self._transformed = Winograd(weight.clone())
        out = self._transformed(x)
        return out if bias is None else out.add_(bias[:, None, None])


class Winograd:
    """A convolution with one weight, padded by one.

    Args:
        weight: (out, in, 3, 3); four times its memory is taken.
    """

    def __init__(self, weight: Tensor) -> None:
        outputs, inputs = weight.shape[:2]
        to_result, to_weight, to_features = (
            torch.kron(matrix, matrix).to(weight.device) for matrix in matrices()
        )
        self._before, self._after = to_features.to(weight.dtype), to_result.to(weight.dtype)
        taps = weight.double().reshape(outputs * inputs, TAPS * TAPS)
        places = (to_weight @ taps.T).reshape(SIDE * SIDE, outputs, inputs).transpose(1, 2)
        self._weight = places.contiguous().to(weight.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h, w), with channels last in memory."""
        rows, _, height, width = x.shape
        down, across = -(-height // OUT), -(-width // OUT)
        border = (0, 0, 1, across * OUT - width + 1, 1, down * OUT - height + 1)
        padded = functional.pad(x.permute(0, 2, 3, 1), border)
        tiles = padded.unfold(1, SIDE, OUT).unfold(2, SIDE, OUT).permute(0, 4, 5, 1, 2, 3)
        out = padded.new_empty(rows, down, OUT, across, OUT, self._weight.shape[2])
        strip = max(1, TILES_AT_ONCE // across)
        for row in range(rows):  # each by itself: products of other sizes would round otherwise
            for first in range(0, down, strip):
                last = min(first + strip, down)
                squares = self._convolved(tiles[row, :, :, first:last].contiguous())
                out[row, first:last] = squares.permute(2, 0, 3, 1, 4)
        whole = out.reshape(rows, down * OUT, across * OUT, -1)
        return whole[:, :height, :width].permute(0, 3, 1, 2)

    def _convolved(self, squares: Tensor) -> Tensor:
        """(6, 6, down, across, in) -> (4, 4, down, across, out)."""
        _, _, down, across, inputs = squares.shape
        places = (self._before @ squares.view(SIDE * SIDE, -1)).view(SIDE * SIDE, -1, inputs)
        products = torch.bmm(places, self._weight).view(SIDE * SIDE, -1)
        return (self._after @ products).view(OUT, OUT, down, across, -1)


def matrices() -> tuple[Tensor, Tensor, Tensor]:
    """Of one dimension, for the result (4, 6), the weight (6, 3) and the features (6, 6); float64.

    result = R (W w * F f): the product of two polynomials by its values at `POINTS` and infinity,
    transposed (Toom and Cook).
    """
    last = [Fraction(0)] * (SIDE - 1) + [Fraction(1)]
    result = [[point**power for point in POINTS] + [last[power + 2]] for power in range(OUT)]
    weight, features = [], []
    for place, point in enumerate(POINTS):
        others = POINTS[:place] + POINTS[place + 1 :]
        scale = Fraction(1)
        for other in others:
            scale *= point - other
        weight.append([point**power / scale for power in range(TAPS)])
        features.append([*_with_roots(others), Fraction(0)])
    weight.append([Fraction(power == TAPS - 1) for power in range(TAPS)])
    features.append(_with_roots(POINTS))
    r, w, f = (
        torch.tensor([[float(entry) for entry in row] for row in rows], dtype=torch.float64)
        for rows in (result, weight, features)
    )
    return r, w, f


def _with_roots(roots: tuple[Fraction, ...]) -> list[Fraction]:
    """Coefficients of the polynomial with these roots, the constant first."""
    found = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *found]
        found = [a - root * b for a, b in zip(shifted, [*found, Fraction(0)], strict=True)]
    return found
