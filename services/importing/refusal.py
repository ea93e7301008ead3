"""The one error of the readers."""


class RefusedError(ValueError):
    """A foreign file is damaged, unknown or refused; the second half of a sentence says why."""
