"""What a setting is drawn on: a background, its layout's own random numbers, and the hour."""

import random
from typing import Final

from PIL import Image

from miniatures.world.palette import RGB, under_the_sky
from miniatures.world.pen import Pen

LAYOUTS: Final = 4
SKY: RGB = (146, 198, 242)
SUN: RGB = (255, 236, 120)
MOON: RGB = (246, 244, 220)
NIGHT_SKY: RGB = (14, 18, 62)


class Ground:
    """A pen on a background, with the layout's own random numbers and the light of the hour."""

    def __init__(self, canvas: Image.Image, setting: str, layout: int, *, night: bool) -> None:
        """`layout` is 0 to LAYOUTS - 1 and decides every detail of the setting."""
        self.pen = Pen(canvas)
        self.random = random.Random(f"{setting}/{layout}")
        self.layout = layout
        self.night = night

    def lit(self, colour: RGB) -> RGB:
        """The colour in the light of the hour."""
        return under_the_sky(colour, night=self.night)
