"""What a prompt asks of a classifier: the classes whose names stand in it.

Names are compared word by word, case and hyphens apart; longer names count first, and a word counts
once, so that "a man with brown eyes" asks for brown eyes and not for brown clothes. A head of which
several classes are named (a red car before a blue house) is asked for nothing, because nothing says
which is meant. Of "labels in prompts" more is not understood: no grammar, no synonyms that the
classifier does not name, and no negation that is not part of a name.
"""

import re
from collections.abc import Mapping, Sequence

Words = tuple[str, ...]
WORD = re.compile(r"\w+")


def asked_for(prompt: str, labels: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Head -> index of the class that the prompt names; heads that it leaves open are left out.

    Args:
        prompt: any text.
        labels: head -> what its classes are called, several names of one with ", " between.
    """
    said, used = _words(prompt), set[int]()
    found: dict[str, set[int]] = {}
    named = _by_name(labels)
    for name in sorted(named, key=len, reverse=True):
        places = [place for place in _places(said, name) if not used & set(place)]
        for place in places:
            used.update(place)
        if places:
            for head, index in named[name]:
                found.setdefault(head, set()).add(index)
    return {head: found[head].pop() for head in labels if len(found.get(head, ())) == 1}


def _by_name(labels: Mapping[str, Sequence[str]]) -> dict[Words, list[tuple[str, int]]]:
    """Each name with all classes that it is a name of."""
    named: dict[Words, list[tuple[str, int]]] = {}
    for head, classes in labels.items():
        for index, label in enumerate(classes):
            for name in {_words(part) for part in label.split(",")} - {()}:
                named.setdefault(name, []).append((head, index))
    return named


def _places(said: Words, name: Words) -> list[range]:
    """Where a name stands in what was said."""
    starts = range(len(said) - len(name) + 1)
    return [range(at, at + len(name)) for at in starts if said[at : at + len(name)] == name]


def _words(text: str) -> Words:
    return tuple(WORD.findall(text.casefold()))
