"""Reading captions of the world: from a text to what it claims, or to nothing.

The grammar is that of `miniatures.world.captions`, written the other way round over the same words;
any text that those can write is read to the same claims, and hardly any other text is read at all.
So whether a model's caption is one of the world, and of what, can be counted exactly.

A parser takes the words still to be read and gives every way to read a beginning of them: the
claims (attribute -> value) with the words left. Claims that contradict each other are no reading.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from miniatures.world import ATTRIBUTES, KINDS, UNCLAIMED, VALUES, words

Words = tuple[str, ...]
Claims = Mapping[str, str]
Parser = Callable[[Words], Iterator[tuple[Claims, Words]]]

PICTURE: Final = "a picture"
"""What a caption speaks of that mentions only the hour."""


def parse(text: str) -> tuple[int, ...] | None:
    """What a caption claims, one label index or UNCLAIMED per attribute; None if it is no caption.

    Args:
        text: as the world writes captions: lower case, words between single spaces.
    """
    for claims, rest in _grammar()(tuple(text.split())):
        if not rest:
            return tuple(
                VALUES[name].index(claims[name]) if name in claims else UNCLAIMED
                for name in ATTRIBUTES
            )
    return None


@cache
def _grammar() -> Parser:
    what = _either(_thing(), _portrait())
    where = _maybe(_table("setting", words.PLACES))
    when = _maybe(_table("time", words.HOURS))
    opener = _maybe(_said(*(text for text in words.OPENERS if text), bare=True))
    view = _either(_table("setting", words.VIEWS, bare=True), _said(PICTURE, bare=True))
    return _either(
        _sequence(opener, what, where, when),
        _sequence(opener, what, when, where),
        _sequence(where, when, what),
        _sequence(opener, view, when),
    )


def _thing() -> Parser:
    """Anything but a person, with its article."""
    article, adjective = _maybe(_said("a", "an", "the")), _maybe(_said(*words.ADJECTIVES))
    colour = _table("colour", _colours())
    noun = _either(*(_nouns(thing) for thing in KINDS if thing != "face"))
    lake = {setting: (word,) for setting, word in words.LAKES.items()}
    noun = _either(noun, _sequence(_table("setting", lake), _nouns("lake")))
    return _either(
        _sequence(article, adjective, _maybe(colour), noun),
        _sequence(article, adjective, noun, _said("that is"), colour),
        _sequence(article, adjective, _nouns("tree"), _said("with"), colour, _said("leaves")),
    )


def _portrait() -> Parser:
    """A person, or a picture of one."""
    article = _maybe(_said("a", "an", "the"))
    of = _maybe(_sequence(article, _said(*words.PORTRAITS), _said("of")))
    return _sequence(of, article, _person())


def _person() -> Parser:
    before = _sequence(
        _maybe(_table("smile", words.SMILING)),
        _maybe(_table("beard", {value: (word,) for value, word in words.BEARDED.items()})),
        _maybe(_table("hair", words.HAIRED)),
        _maybe(_table("eyes", {value: (f"{value} eyed",) for value in VALUES["eyes"]})),
    )
    part = _either(
        _table("glasses", words.GLASSES),
        _table("smile", words.SMILE),
        _table("beard", words.BEARD),
        _table("hair", words.WITH_HAIR),
        _table("eyes", {value: (f"{value} eyes",) for value in VALUES["eyes"]}),
    )
    more = _sequence(_said("and"), part)
    listed = _sequence(_said("with"), part, *[_maybe(more)] * 4)
    clothes = {word for group in words.CLOTHES.values() for word in group}
    dressed = _sequence(
        _said("in", "wearing"), _said("a", "an"), _table("colour", _colours()), _said(*clothes)
    )
    return _sequence(before, _nouns("face"), _maybe(listed), _maybe(dressed))


def _nouns(thing: str) -> Parser:
    """What a thing or one of its kinds is called."""
    kinds = {kind: words.NOUNS[kind] for kind in KINDS[thing]}
    generic = _table("thing", {thing: words.NOUNS[thing]})
    return _either(generic, _claimed(_table("kind", kinds), {"thing": thing}))


def _colours() -> dict[str, Sequence[str]]:
    return {value: words.COLOUR_WORDS.get(value, (value,)) for value in VALUES["colour"]}


def _said(*phrases: str, bare: bool = False) -> Parser:
    """One of these phrases, which claim nothing; `bare` ones may lack their article."""
    return _claimed(_table("", {"": phrases}, bare=bare), {})


def _table(attribute: str, phrases: Mapping[str, Sequence[str]], *, bare: bool = False) -> Parser:
    """One of the phrases of a table (value -> phrases), which claims that value."""
    rows = [(tuple(text.split()), value) for value, texts in phrases.items() for text in set(texts)]
    if bare:
        rows += [(row[1:], value) for row, value in rows if row[0] in {"a", "an"}]

    def parser(left: Words) -> Iterator[tuple[Claims, Words]]:
        for row, value in rows:
            if left[: len(row)] == row:
                yield {attribute: value}, left[len(row) :]

    return parser


def _claimed(parser: Parser, claims: Claims) -> Parser:
    """What the parser reads, with these claims besides; the claim of no attribute goes."""

    def with_claims(left: Words) -> Iterator[tuple[Claims, Words]]:
        for found, rest in parser(left):
            yield {name: value for name, value in found.items() if name} | dict(claims), rest

    return with_claims


def _sequence(*parsers: Parser) -> Parser:
    """One after the other."""

    def parser(left: Words) -> Iterator[tuple[Claims, Words]]:
        if not parsers:
            yield {}, left
            return
        for first, rest in parsers[0](left):
            for others, end in tail(rest):
                if not first.keys() & others.keys() - {"thing"}:
                    yield {**first, **others}, end

    tail = _sequence(*parsers[1:]) if parsers else _nothing
    return parser


def _either(*parsers: Parser) -> Parser:
    """Any one of them."""

    def parser(left: Words) -> Iterator[tuple[Claims, Words]]:
        for one in parsers:
            yield from one(left)

    return parser


def _maybe(parser: Parser) -> Parser:
    """The parser, or nothing."""
    return _either(parser, _nothing)


def _nothing(left: Words) -> Iterator[tuple[Claims, Words]]:
    yield {}, left
