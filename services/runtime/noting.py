"""How often to write down what can happen a million times."""


def worth_a_line(count: int) -> bool:
    """The first ten, then each time that the count has doubled: a flood does not fill the log."""
    return count <= 10 or count & (count - 1) == 0
