"""What the classes of the attribute classifiers are called in prompts.

The words are those of the captions (`miniatures.world.words`), so that a classifier's labels alone
tell what a prompt asks of it: `orchestrator.measuring.claims` reads prompts by them, without the
world's grammar.
"""

from collections.abc import Iterable, Mapping, Sequence

from miniatures.world import KINDS, words

Names = dict[str, dict[str, list[str]]]


def names_of(heads: Mapping[str, Sequence[str]]) -> Names:
    """Attribute -> value -> its names, the commonest first, each once.

    Args:
        heads: attribute -> values, as a classifier has them.
    """
    return {
        head: {value: list(dict.fromkeys(_names(head, value))) for value in values}
        for head, values in heads.items()
    }


def _names(head: str, value: str) -> Iterable[str]:
    names: Iterable[str]
    match head:
        case "thing":
            names = [name for one in (value, *KINDS[value]) for name in words.NOUNS[one]]
        case "kind":
            generic = next(words.NOUNS[thing] for thing, kinds in KINDS.items() if value in kinds)
            own = [name for name in words.NOUNS[value] if name not in generic]
            names = own or [f"plain {value}"]  # "a lake" may be a pond
        case "colour":
            names = words.COLOUR_WORDS.get(value, (value,))
        case "setting":
            places = [_bare(view) for view in words.VIEWS[value]]
            names = [value, *words.PLACES[value], *places]
        case "time":
            names = [value, *words.HOURS[value]]
        case "hair":
            names = [*words.HAIRED[value], *map(_bare, words.WITH_HAIR[value])]
        case "eyes":
            names = [f"{value} eyes", f"{value} eyed"]
        case "glasses":
            names = words.GLASSES[value]
        case "beard":
            names = [*map(_bare, words.BEARD[value]), words.BEARDED[value]]
        case _:
            names = [*map(_bare, words.SMILE[value]), *words.SMILING[value]]
    return names


def _bare(phrase: str) -> str:
    """A phrase without its article."""
    article, _, rest = phrase.partition(" ")
    return rest if article in {"a", "an", "the"} else phrase
