"""What a generator accepts: an ordered list of segments.

A generator announces its latent spaces in WELCOME; the search sees a genome as one flat row of
float32, segment after segment, and never needs to know which model is behind it.
"""

from typing import Literal

import msgspec

from protocol.errors import BadRequestError

SegmentKind = Literal["real", "integer", "categorical", "binary"]
Draw = Literal["normal", "truncated_normal", "uniform"]


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`size` genes of one kind.

    Attributes:
        name: what the generator calls it, for example `z` or `class_embedding`.
        kind: how operators may treat a gene: real numbers, ordered integers, unordered
            categories (ids `low..high`), or bits.
        size: number of genes, at least 1.
        low: least value of a gene (inclusive).
        high: greatest value of a gene (inclusive).
        draw: how a fresh gene is drawn: standard normal, standard normal redrawn until inside
            the bounds, or uniform over the bounds.
        probability: for `binary` segments, how likely a fresh bit is 1.
    """

    name: str
    kind: SegmentKind
    size: int
    low: float
    high: float
    draw: Draw
    probability: float = 0.5


class LatentSpace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An ordered list of segments under one name, such as `z` or `w`.

    Two generators with equal latent spaces can be swapped for one another.
    """

    name: str
    segments: tuple[Segment, ...]

    @property
    def size(self) -> int:
        """Number of genes in a genome."""
        return sum(segment.size for segment in self.segments)

    def slices(self) -> list[tuple[Segment, slice]]:
        """Each segment with its columns in a flat genome, in order."""
        start, found = 0, []
        for segment in self.segments:
            found.append((segment, slice(start, start + segment.size)))
            start += segment.size
        return found

    def check(self) -> None:
        """Refuse a space that no search could use.

        Raises:
            BadRequestError: no segments, an empty segment, or bounds out of order.
        """
        if not self.segments:
            raise BadRequestError(f"latent space '{self.name}' has no segments; give at least one")
        for segment in self.segments:
            if segment.size < 1 or not segment.low < segment.high:
                raise BadRequestError(
                    f"segment '{segment.name}' of latent space '{self.name}' needs size >= 1 and "
                    f"low < high, but has size {segment.size}, low {segment.low}, "
                    f"high {segment.high}"
                )
