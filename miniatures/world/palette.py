"""The colours of the world, and how night changes them.

Promises: every colour word of the captions has one colour here, far enough from the others to be
told apart at 64x64, by day and by night. Objects keep their colour at night (they are lit); only
the surroundings darken.
"""

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (214, 32, 36),
    "orange": (245, 134, 22),
    "yellow": (250, 216, 30),
    "green": (38, 158, 62),
    "blue": (36, 82, 214),
    "purple": (128, 44, 168),
    "pink": (250, 134, 186),
    "white": (246, 246, 244),
    "grey": (142, 146, 150),
    "black": (26, 26, 30),
    "brown": (124, 74, 38),
}
"""Colour word -> sRGB bytes; the order is the order of the labels and must only grow at its end."""

GLASS: RGB = (186, 220, 240)
TYRE: RGB = (34, 34, 38)
LAMP: RGB = (255, 244, 170)


def scaled(colour: RGB, factor: float) -> RGB:
    """A darker (`factor` < 1) or lighter (`factor` > 1) colour, clipped to bytes."""
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in colour)
    return red, green, blue


def blended(first: RGB, second: RGB, share: float) -> RGB:
    """`first` with `share` (0..1) of `second` mixed in."""
    red, green, blue = (
        round(a * (1 - share) + b * share) for a, b in zip(first, second, strict=True)
    )
    return red, green, blue


def under_the_sky(colour: RGB, *, night: bool) -> RGB:
    """The colour of something in the surroundings, which at night is dark and bluish."""
    return blended(scaled(colour, 0.50), (6, 10, 44), 0.33) if night else colour


def accented(colour: RGB) -> RGB:
    """A colour for lines on a surface of `colour`: darker, or lighter where that cannot be seen."""
    return scaled(colour, 0.72) if sum(colour) > 150 else blended(colour, (255, 255, 255), 0.25)
