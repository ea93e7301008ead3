"""A folder's name out of anything that a user may search for."""

import re
import unicodedata

LONGEST = 60
NAMELESS = "run"


def slug(text: str) -> str:
    """`A yellow car, in the City!` as `a-yellow-car-in-the-city`.

    The result holds only `a-z`, `0-9` and single inner hyphens, is 1 to 60 characters long and,
    when it has to be cut, ends with a whole word. Accents are dropped; a text without any Latin
    letter or digit becomes `run`.
    """
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    words = "-".join(re.findall(r"[a-z0-9]+", plain.replace("'", "").lower()))
    if len(words) > LONGEST:
        cut = words[: LONGEST + 1]
        words = cut[: cut.rindex("-")] if "-" in cut else cut[:LONGEST]
    return words or NAMELESS
