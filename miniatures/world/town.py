"""Settings that people built: the city, the street, the intersection and the wall."""

from miniatures.world.ground import Ground
from miniatures.world.palette import LAMP, RGB

ASPHALT: RGB = (92, 94, 102)
PAVEMENT: RGB = (184, 182, 180)
PAINT: RGB = (236, 236, 232)
FACADES: tuple[RGB, ...] = ((206, 120, 84), (222, 186, 120), (170, 196, 170), (196, 150, 150))


def city(ground: Ground) -> None:
    """A skyline of lit towers behind a road."""
    pen, rng = ground.pen, ground.random
    x = -rng.uniform(0, 5)
    while x < 64:
        width, height = rng.choice((10.0, 12.0, 14.0)), rng.uniform(16, 37)
        wall = rng.choice(((112, 118, 138), (146, 128, 120), (94, 108, 132), (150, 150, 160)))
        pen.box(x, 12, x + width - 0.6, 20 + height, ground.lit(wall))
        _lit_windows(ground, x, width, 20 + height)
        x += width
    pen.box(0, 16, 64, 20, ground.lit(PAVEMENT))
    pen.box(0, 0, 64, 16.5, ground.lit(ASPHALT))
    for left in range(2, 64, 16):
        pen.box(left, 4.4, left + 8, 6, ground.lit(PAINT))


def _lit_windows(ground: Ground, x: float, width: float, top: float) -> None:
    columns = int((width - 2) // 4)
    y = top - 5
    while y > 21:
        for column in range(columns):
            left = x + 1.6 + column * 4
            lit = ground.random.random() < 0.65
            dark = ground.lit((70, 84, 112))
            glass = (LAMP if lit else dark) if ground.night else (206, 228, 244)
            ground.pen.box(left, y, left + 2.2, y + 3, glass)
        y -= 5.5


def street(ground: Ground) -> None:
    """A street between rows of houses, running away from the viewer."""
    pen, rng = ground.pen, ground.random
    middle = (32, 28, 36, 32)[ground.layout]
    pen.polygon([(0, 0), (64, 0), (64, 30), (0, 30)], ground.lit(PAVEMENT))
    for side in (-1, 1):
        facades = rng.sample(FACADES, len(FACADES))
        for near, facade in enumerate(facades):
            _facade(ground, (middle, side), (3 - near, 4 - near), facade)
    pen.polygon([(-14, 0), (78, 0), (middle + 3, 29), (middle - 3, 29)], ground.lit(ASPHALT))
    for low, high in ((0, 8), (12, 18), (21, 25)):
        narrow, wide = 1.5 * (1 - high / 30), 1.5 * (1 - low / 30)
        dash = [(middle - wide, low), (middle + wide, low)]
        pen.polygon([*dash, (middle + narrow, high), (middle - narrow, high)], ground.lit(PAINT))


def _facade(ground: Ground, place: tuple[int, int], steps: tuple[int, int], colour: RGB) -> None:
    """One house of a row that shrinks towards the middle; steps 0 is far away, 4 is near."""
    middle, side = place

    def corner(step: float, height: float) -> tuple[float, float]:
        nearness = 0.12 + 0.22 * step
        return middle + side * (34 * nearness + 2), 29 + (height - 14) * nearness

    def panel(ends: tuple[float, float], low: float, high: float) -> list[tuple[float, float]]:
        first, last = ends
        return [corner(first, low), corner(last, low), corner(last, high), corner(first, high)]

    far, near = steps
    ground.pen.polygon(panel((far, near), -10, 48), ground.lit(colour))
    ground.pen.polygon(panel((far, near), 48, 56), ground.lit((112, 66, 56)))
    for low in (6, 24):
        for share in (0.15, 0.6):
            glass = LAMP if ground.night else (214, 232, 244)
            ends = (far + share, far + share + 0.28)
            ground.pen.polygon(panel(ends, low, low + 11), glass)


def intersection(ground: Ground) -> None:
    """Two roads that cross, with zebra crossings and traffic lights."""
    pen = ground.pen
    x = (32, 24, 40, 32)[ground.layout]
    grass, asphalt, paint = (ground.lit(c) for c in ((122, 186, 92), ASPHALT, PAINT))
    pen.box(0, 0, 64, 34, grass)
    pen.polygon([(x - 44, 0), (x + 44, 0), (x + 6, 34), (x - 6, 34)], asphalt)
    pen.box(0, 8, 64, 22, asphalt)
    for left in range(-2, 64, 7):
        if abs(left + 2 - x) < 17:
            pen.polygon([(left, 23), (left + 3.4, 23), (left + 3, 27), (left + 0.6, 27)], paint)
        pen.polygon([(left, 1), (left + 4, 1), (left + 4, 6), (left, 6)], paint)
    for left in (-3, 52):
        pen.box(left, 14.4, left + 13, 15.8, paint)
    for side in (-1, 1):
        _traffic_light(ground, x + side * (22 + ground.layout), side)


def _traffic_light(ground: Ground, x: float, side: int) -> None:
    pen, red = ground.pen, (side > 0) == (ground.layout % 2 == 0)
    pen.box(x - 0.8, 22, x + 0.8, 44, ground.lit((70, 72, 78)))
    pen.rounded(x - 3.2, 42, x + 3.2, 60, 1.5, (34, 36, 40))
    lamps = ((56, (244, 40, 40) if red else (90, 30, 30)), (51, (100, 84, 20)))
    for y, colour in (*lamps, (46, (28, 80, 40) if red else (50, 232, 90))):
        pen.disc(x, y, 2.1, colour)


def wall(ground: Ground) -> None:
    """A wall of bricks or of boards of one colour, and the floor before it."""
    pen = ground.pen
    paint = ((178, 92, 74), (206, 196, 172), (150, 162, 178), (190, 150, 110))[ground.layout]
    bricks, joint = ground.lit(paint), ground.lit((226, 220, 210))
    pen.box(0, 0, 64, 64, joint)
    for row in range(10):
        bottom = 8 + row * 5.8
        for column in range(-1, 7):
            left = column * 11 + (5.5 if row % 2 else 0)
            pen.box(left, bottom, left + 10.2, bottom + 5, bricks)
    pen.box(0, 0, 64, 8, ground.lit((120, 104, 92)))
    pen.box(0, 7, 64, 8.6, ground.lit((84, 72, 64)))
