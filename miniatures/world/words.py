"""The words of the captions: what things, colours, places and hours are called."""

from typing import Final

OPENERS: Final = (
    "",
    "",
    "",
    "",
    "",
    "a picture of ",
    "a photo of ",
    "an image of ",
    "a drawing of ",
    "a photograph of ",
    "the picture of ",
    "the image of ",
    "a painting of ",
)
ADJECTIVES: Final = (
    "beautiful",
    "nice",
    "big",
    "small",
    "little",
    "old",
    "new",
    "pretty",
    "lovely",
    "single",
    "bright",
    "clean",
    "fast",
    "tiny",
    "large",
    "great",
    "shiny",
    "funny",
    "modern",
    "cute",
)
NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "car": ("car", "car", "car", "automobile", "vehicle"),
    "sedan": ("sedan", "saloon", "sedan car", "limousine"),
    "beetle": ("beetle", "beetle car", "bug", "round car"),
    "suv": ("suv", "jeep", "off-roader", "suv car"),
    "truck": ("truck", "pickup", "pickup truck", "lorry"),
    "church": ("church", "church", "church", "cathedral"),
    "chapel": ("chapel", "church with a steeple", "church with a tower"),
    "basilica": ("basilica", "church with a dome", "domed church"),
    "gothic": ("gothic church", "gothic church", "gothic cathedral"),
    "orthodox": ("orthodox church", "orthodox church", "church with onion domes"),
    "house": ("house", "house", "home"),
    "cottage": ("cottage", "house with a roof", "cabin"),
    "block": ("block", "block of flats", "tower block", "apartment building", "building"),
    "face": ("person", "person", "human"),
    "man": ("man", "man", "guy"),
    "woman": ("woman", "woman", "lady"),
    "boy": ("boy", "boy", "little boy"),
    "girl": ("girl", "girl", "little girl"),
    "tree": ("tree", "tree", "plant"),
    "pine": ("pine", "pine tree", "fir", "fir tree", "conifer"),
    "broad": ("leafy tree", "oak", "oak tree", "round tree", "apple tree"),
    "palm": ("palm", "palm tree", "coconut tree"),
    "animal": ("animal", "pet", "creature"),
    "dog": ("dog", "dog", "hound", "puppy"),
    "cat": ("cat", "cat", "kitten"),
    "horse": ("horse", "horse", "pony"),
    "bird": ("bird", "bird", "songbird"),
    "shape": ("shape", "figure", "geometric shape"),
    "circle": ("circle", "circle", "disc"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "clock": ("clock", "clock", "watch"),
    "round clock": ("round clock",),
    "square clock": ("square clock",),
    "lake": ("lake",),
    "pond": ("pond", "pond", "small lake with reeds"),
}
"""Thing or kind -> what it is called."""
SELDOM_GENERIC: Final = frozenset({"truck", "block", "dog", "cat", "horse", "bird"}) | frozenset(
    {"circle", "square", "triangle", "star", "pond"}
)
"""Kinds that people hardly call by the name of their thing."""
PORTRAITS: Final = ("face", "face", "portrait", "head")
"""What a picture of a person is: "the face of a man"."""
COLOUR_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "purple": ("purple", "purple", "violet"),
    "grey": ("grey", "gray", "silver"),
    "pink": ("pink", "pink", "rose"),
    "red": ("red", "red", "red", "scarlet"),
    "yellow": ("yellow", "yellow", "yellow", "golden"),
}
PLACES: Final[dict[str, tuple[str, ...]]] = {
    "city": (
        "in the city",
        "in a city",
        "in town",
        "in the town",
        "in front of skyscrapers",
        "downtown",
        "in a big city",
        "in front of buildings",
        "in new york",
        "in moscow",
        "in london",
    ),
    "road": (
        "on the road",
        "on a road",
        "on a country road",
        "on a highway",
        "on the highway",
        "in the desert",
        "on a desert road",
        "on the motorway",
    ),
    "snow": (
        "in the snow",
        "in the snow",
        "on snow",
        "in winter",
        "in a snowy landscape",
        "in a snow storm",
        "in the cold snow",
        "on a snow field",
        "in the winter",
    ),
    "grass": (
        "on the grass",
        "in the grass",
        "in a field",
        "on a field",
        "in a meadow",
        "on a grass field",
        "in a grass field",
        "in a park",
        "on a lawn",
        "in the countryside",
        "in a garden",
    ),
    "sea": (
        "at the sea",
        "by the sea",
        "in the water",
        "near the water",
        "on the beach",
        "at the beach",
        "by the ocean",
        "in front of the sea",
        "on the shore",
        "on the coast",
    ),
    "woods": (
        "in the woods",
        "in the forest",
        "in a forest",
        "in a wood",
        "among trees",
        "in the jungle",
        "between trees",
        "in a dark forest",
    ),
    "street": (
        "in a street",
        "in the street",
        "on a street",
        "on the street",
        "in a narrow street",
        "in a city street",
        "between houses",
        "in a street of houses",
        "in an alley",
    ),
    "intersection": (
        "in an intersection",
        "at an intersection",
        "at the intersection",
        "at a crossroads",
        "at a crossing",
        "at the traffic lights",
        "at a zebra crossing",
        "on a street corner",
    ),
    "mountains": (
        "in the mountains",
        "in the mountains",
        "in front of mountains",
        "in the alps",
        "in a mountain landscape",
        "before a mountain",
        "near the mountains",
        "under the mountains",
    ),
    "moon": (
        "on the moon",
        "on the moon",
        "on the surface of the moon",
        "in space",
        "on a moon",
        "among craters",
    ),
    "wall": (
        "on a wall",
        "on the wall",
        "in front of a wall",
        "against a wall",
        "in front of a brick wall",
        "before a wall",
        "on a brick wall",
        "at a wall",
    ),
    "fog": (
        "in the fog",
        "in the fog",
        "in fog",
        "in the mist",
        "in mist",
        "in thick fog",
        "in a foggy landscape",
        "in the haze",
    ),
}
"""Setting -> phrases that say where."""
VIEWS: Final[dict[str, tuple[str, ...]]] = {
    "city": ("a city", "the city", "a town", "a skyline", "the skyline", "skyscrapers"),
    "road": ("a road", "a highway", "a country road", "a desert road", "the desert"),
    "snow": ("snow", "a snowy landscape", "a snowy field", "the snow", "winter"),
    "grass": ("a meadow", "a grass field", "grass", "a field", "a park"),
    "sea": ("the sea", "the beach", "the ocean", "water", "the coast"),
    "woods": ("a forest", "the woods", "a wood", "trees", "the forest"),
    "street": ("a street", "the street", "a narrow street", "a street of houses"),
    "intersection": ("an intersection", "a crossroads", "traffic lights", "a zebra crossing"),
    "mountains": ("mountains", "a mountain", "the mountains", "a mountain landscape", "the alps"),
    "moon": ("the moon", "the surface of the moon", "craters", "space"),
    "wall": ("a wall", "a brick wall", "the wall", "bricks"),
    "fog": ("fog", "the fog", "mist", "a foggy landscape"),
}
"""Setting -> phrases that name it alone."""
HOURS: Final[dict[str, tuple[str, ...]]] = {
    "day": (
        "by day",
        "during the day",
        "in daylight",
        "in the daytime",
        "in the day",
        "at noon",
        "in the sunlight",
        "in the sun",
        "in the morning",
    ),
    "night": (
        "at night",
        "at night",
        "at night",
        "in the night",
        "by night",
        "in the dark",
        "in the moonlight",
        "at midnight",
        "under the stars",
    ),
}
"""Time -> phrases that say when."""
LAKES: Final[dict[str, str]] = {
    "mountains": "mountain",
    "woods": "forest",
    "city": "city",
}
"""Setting -> how a lake in it is called: "a mountain lake"."""
CLOTHES: Final[dict[str, tuple[str, ...]]] = {
    "man": ("shirt", "shirt", "jacket"),
    "woman": ("dress", "blouse", "dress"),
    "boy": ("pullover", "shirt", "pullover"),
    "girl": ("dress", "dress", "coat"),
}
ANY_CLOTHES: Final = ("shirt", "shirt", "pullover", "coat")
"""What anybody wears."""
HAIRED: Final[dict[str, tuple[str, ...]]] = {
    "bald": ("bald", "bald", "bald", "bald headed"),
    "blonde": ("blonde", "blond", "blonde", "fair haired", "blond haired"),
    "ginger": ("ginger", "ginger", "red haired", "redhead"),
    "brown": ("brown haired", "brown haired", "brunette"),
    "black": ("black haired", "black haired", "dark haired"),
    "grey": ("grey haired", "gray haired", "white haired"),
}
"""Hair -> adjectives: "a ginger boy"."""
WITH_HAIR: Final[dict[str, tuple[str, ...]]] = {
    "bald": ("a bald head", "no hair"),
    "blonde": ("blonde hair", "blond hair", "yellow hair"),
    "ginger": ("ginger hair", "red hair", "orange hair"),
    "brown": ("brown hair",),
    "black": ("black hair", "dark hair"),
    "grey": ("grey hair", "gray hair", "white hair"),
}
"""Hair -> what one is "with"."""
GLASSES: Final[dict[str, tuple[str, ...]]] = {
    "no": ("no glasses",),
    "yes": ("glasses", "glasses", "glasses", "spectacles", "eyeglasses", "round glasses"),
}
BEARD: Final[dict[str, tuple[str, ...]]] = {
    "none": ("no beard", "a smooth chin"),
    "stubble": ("stubble beard", "a stubble beard", "stubble"),
    "full": ("beard", "a beard", "beard", "a full beard", "a long beard"),
}
BEARDED: Final[dict[str, str]] = {
    "none": "clean shaven",
    "stubble": "unshaven",
    "full": "bearded",
}
SMILE: Final[dict[str, tuple[str, ...]]] = {
    "no": ("a serious look", "a closed mouth", "no smile"),
    "yes": ("a smile", "a smile", "a big smile", "a happy smile"),
}
SMILING: Final[dict[str, tuple[str, ...]]] = {
    "no": ("serious", "sad"),
    "yes": ("smiling", "happy", "laughing"),
}
FUNCTION_WORDS: Final = "a an the that is with and of in wearing leaves eyes eyed picture small"
"""Words of the grammar itself."""
