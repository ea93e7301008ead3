"""Settings of the open land: road, snow, grass, sea, woods, mountains, moon and fog."""

from miniatures.world.ground import MOON, NIGHT_SKY, SUN, Ground
from miniatures.world.palette import RGB, blended, scaled

SNOW_SKY: RGB = (198, 212, 228)
SEA_SKY: RGB = (176, 220, 248)
WOODS_SKY: RGB = (196, 226, 200)
SPACE: RGB = (4, 4, 10)
WHITE: RGB = (250, 252, 255)


def road(ground: Ground) -> None:
    """A road through a desert."""
    pen, rng = ground.pen, ground.random
    for _ in range(3):
        x, height = rng.uniform(0, 64), rng.uniform(8, 16)
        pen.polygon([(x - 34, 22), (x, 24 + height), (x + 34, 22)], ground.lit((176, 140, 100)))
        pen.polygon(
            [(x - 9, 24 + height * 0.72), (x, 24 + height), (x + 9, 24 + height * 0.72)],
            ground.lit((214, 190, 156)),
        )
    pen.box(0, 17, 64, 25, ground.lit((206, 178, 112)))
    pen.box(0, 1.5, 64, 18.5, ground.lit((74, 76, 84)))
    pen.box(0, 17.3, 64, 18.1, ground.lit((240, 240, 236)))
    pen.box(0, 0, 64, 1.5, ground.lit((206, 178, 112)))
    for left in range(-4, 64, 14):
        pen.box(left, 5, left + 8, 6.6, ground.lit((246, 214, 80)))
    for left in range(4 + 3 * ground.layout, 64, 15):
        pen.box(left, 18.5, left + 1.2, 25.5, ground.lit((250, 250, 250)))


def _pine(ground: Ground, x: float, bottom: float, height: float, *, snowy: bool) -> None:
    leaves = ground.lit((44, 100, 74) if snowy else (30, 92, 50))
    ground.pen.box(x - 1, bottom - 2, x + 1, bottom + 2, ground.lit((88, 60, 40)))
    for share in (0.0, 0.28, 0.56):
        width = height * 0.30 * (1 - share * 0.75)
        low, top = bottom + height * share, bottom + height * (share + 0.46)
        ground.pen.polygon([(x - width, low), (x + width, low), (x, top)], leaves)
        if snowy:
            cap = [(x - width * 0.5, (low + top) / 2), (x + width * 0.5, (low + top) / 2), (x, top)]
            ground.pen.polygon(cap, ground.lit((250, 252, 255)))


def snow(ground: Ground) -> None:
    """Snow with fir trees, and more falling."""
    pen, rng = ground.pen, ground.random
    white = ground.lit((244, 248, 255)) if not ground.night else (150, 166, 206)
    for x in (8, 34, 58):
        pen.ellipse(
            x + rng.uniform(-6, 6), 20, 24, rng.uniform(6, 11), blended(white, NIGHT_SKY, 0.1)
        )
    pen.box(0, 0, 64, 22, white)
    for _ in range(5):
        _pine(ground, rng.uniform(2, 62), rng.uniform(20, 24), rng.uniform(14, 24), snowy=True)
    for _ in range(4):
        pen.ellipse(
            rng.uniform(0, 64), rng.uniform(2, 14), 9, 1.2, blended(white, (120, 150, 210), 0.3)
        )
    for _ in range(26):
        pen.disc(rng.uniform(0, 64), rng.uniform(22, 64), 0.85, (255, 255, 255))


def grass(ground: Ground) -> None:
    """A meadow with flowers before hills."""
    pen, rng = ground.pen, ground.random
    for hill in (6, 52):
        shift, height = rng.uniform(-8, 8), rng.uniform(7, 12)
        pen.ellipse(hill + shift, 20, 34, height, ground.lit((136, 196, 96)))
    green = (104, 184, 66)
    pen.box(0, 0, 64, 22, ground.lit(green))
    for _ in range(30):
        x, y = rng.uniform(0, 64), rng.uniform(1, 20)
        blade = [(x - 1, y), (x, y + 3), (x + 1, y)]
        pen.polygon(blade, ground.lit(scaled(green, 0.72)))
    for _ in range(9):
        petal = rng.choice(((252, 250, 240), (250, 226, 90), (240, 120, 150)))
        pen.disc(rng.uniform(0, 64), rng.uniform(1, 17), 0.9, ground.lit(petal))


def sea(ground: Ground) -> None:
    """A beach with the sea behind it, and the sun over it."""
    pen, rng = ground.pen, ground.random
    x = (14, 46, 30, 52)[ground.layout]
    water = (34, 122, 196)
    if not ground.night:
        pen.disc(x, 50, 9, blended(SEA_SKY, SUN, 0.45))
        pen.disc(x, 50, 6, SUN)
    pen.box(0, 12, 64, 38, ground.lit(water))
    glitter = blended(water, MOON if ground.night else SUN, 0.7)
    for step in range(6):
        width = 1.5 + step * 1.1
        pen.box(x - width, 35.5 - step * 4, x + width, 36.5 - step * 4, glitter)
    for _ in range(14):
        left, y = rng.uniform(-4, 60), rng.uniform(15, 36)
        pen.box(left, y, left + 7, y + 0.8, ground.lit((150, 204, 236)))
    pen.box(0, 0, 64, 13, ground.lit((240, 222, 164)))
    pen.box(0, 12.4, 64, 14.2, ground.lit((250, 250, 250)))


def woods(ground: Ground) -> None:
    """Trees close behind and above."""
    pen, rng = ground.pen, ground.random
    pen.box(0, 14, 64, 46, ground.lit((40, 84, 46)))
    for _ in range(9):
        _pine(ground, rng.uniform(0, 64), rng.uniform(24, 30), rng.uniform(26, 36), snowy=False)
    pen.box(0, 0, 64, 19, ground.lit((104, 90, 52)))
    trunks = [4 + 9.5 * i + rng.uniform(-2, 2) for i in range(7)]
    for x in trunks:
        pen.box(x - 1.5, 17 + rng.uniform(-2, 2), x + 1.5, 52, ground.lit((104, 72, 46)))
    for x in trunks:
        for _ in range(3):
            leaf = rng.choice(((44, 124, 58), (62, 140, 62), (34, 104, 54)))
            spot = (x + rng.uniform(-5, 5), rng.uniform(48, 64))
            pen.disc(*spot, rng.uniform(4, 6), ground.lit(leaf))
    for _ in range(14):
        pen.disc(rng.uniform(0, 64), rng.uniform(1, 17), 1, ground.lit((74, 110, 50)))


def mountains(ground: Ground) -> None:
    """Peaks with snow on them above green slopes."""
    pen, rng = ground.pen, ground.random
    for index, x in enumerate((10, 52, 31)):
        centre, top = x + rng.uniform(-7, 7), rng.uniform(46, 54) + 5 * (index == 2)
        rock = ground.lit((104, 112, 134) if index == 2 else (132, 140, 160))
        half = (top - 20) * 0.85
        pen.polygon([(centre - half, 18), (centre, top), (centre + half, 18)], rock)
        share = 0.34
        low = top - (top - 18) * share
        cap = [(centre - half * share, low), (centre, top), (centre + half * share, low)]
        teeth = [(centre + half * share * 0.4, low - 3), (centre, low + 2)]
        pen.polygon([*cap, *teeth, (centre - half * share * 0.5, low - 3)], ground.lit(WHITE))
    for x in (8, 34, 60):
        pen.ellipse(x + rng.uniform(-5, 5), 17, 22, rng.uniform(5, 8), ground.lit((76, 132, 84)))
    pen.box(0, 0, 64, 18, ground.lit((112, 158, 88)))
    for _ in range(9):
        stone = ground.lit((150, 150, 154))
        pen.ellipse(rng.uniform(0, 64), rng.uniform(1, 16), rng.uniform(1, 2.2), 1.1, stone)


def moon(ground: Ground) -> None:
    """The surface of the moon: grey dust with craters, a black sky, the Earth in it."""
    pen, rng = ground.pen, ground.random
    pen.box(0, 0, 64, 64, SPACE)
    for _ in range(34):
        pen.disc(rng.uniform(0, 64), rng.uniform(24, 63), rng.uniform(0.4, 0.8), MOON)
    x = (14, 48, 32, 54)[ground.layout]
    pen.disc(x, 52, 7.5, (50, 110, 220))
    pen.ellipse(x - 2.4, 54, 3, 2.4, (70, 170, 90))
    pen.ellipse(x + 2.6, 49.4, 2.6, 2.8, (70, 170, 90))
    pen.ellipse(x - 1, 49, 2.6, 1, WHITE)
    dust = (172, 172, 170) if not ground.night else (84, 86, 100)
    for centre in (6, 34, 60):
        pen.ellipse(centre + rng.uniform(-5, 5), 20, 24, rng.uniform(3, 7), scaled(dust, 0.9))
    pen.box(0, 0, 64, 20, dust)
    for _ in range(8):
        left, y, width = rng.uniform(0, 64), rng.uniform(2, 17), rng.uniform(3, 7)
        pen.ellipse(left, y, width, width * 0.34, scaled(dust, 0.68))
        pen.ellipse(left, y - 0.7, width * 0.86, width * 0.24, scaled(dust, 0.86))


def fog(ground: Ground) -> None:
    """Fog over a meadow, in which a few trees are guessed."""
    pen, rng = ground.pen, ground.random
    mist = fog_colour(night=ground.night)
    pen.box(0, 0, 64, 64, mist)
    pen.box(0, 0, 64, 16, blended(mist, (104, 116, 104), 0.24))
    for share in (0.12, 0.2, 0.3):
        for _ in range(2):
            x, height = rng.uniform(0, 64), rng.uniform(16, 26)
            shadow = blended(mist, (60, 70, 78), share)
            pen.box(x - 0.9, 13, x + 0.9, 16 + height / 2, shadow)
            pen.ellipse(x, 16 + height * 0.7, height * 0.26, height * 0.42, shadow)
    for y in (18, 27, 38):
        left = rng.uniform(-10, 30)
        pen.ellipse(left + 18, y, 26, 2.4, blended(mist, (255, 255, 255), 0.22))


def fog_colour(*, night: bool) -> RGB:
    """The colour of the fog, with which everything in it is veiled."""
    return (92, 98, 116) if night else (206, 210, 212)
