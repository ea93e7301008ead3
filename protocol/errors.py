"""Every error that Glasshouse raises on purpose, and how it travels.

An error is data on the wire (`code`, `retryable`, `message`) and the same class again on the other
side. Messages are one sentence: what was wanted, what came, what to do. The tree, complete::

    GlasshouseError
      x BadRequestError        bad_request     2  the caller asked for something that cannot be
      x ConfigError            config          3  settings that cannot work
      x ServiceError           service         4  a service could not answer
        + UnreachableError     unreachable     4  nobody answers at the endpoint
        + DeadlineError        deadline        4  no answer in time
        + BusyError            busy            4  the service's queue is full          (retryable)
        + DrainingError        draining        4  the service is about to leave        (retryable)
        + ModelFailedError     model_failed    4  the model raised on these rows
        + SlotLostError        slot_lost       4  pixels in shared memory went (retryable)
        + ServiceLostError     lost            4  the process ended
      x ProtocolError          protocol        5  bytes that are no message of this protocol
        + VersionError         version         5  the peer speaks another version
      x WeightsError           weights         6  a model's file is missing or damaged
      x StorageError           storage         7  a file or folder cannot be used

The second column is the stable wire code, the third the exit code of the command line.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

SHOWN: Final = 120  # characters of a file's name


class GlasshouseError(Exception):
    """Root of the tree.

    Attributes:
        code: stable name on the wire.
        retryable: whether the same request may succeed later without change.
        exit_code: what the command line exits with.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    @property
    def message(self) -> str:
        """The one sentence."""
        return str(self)


class BadRequestError(GlasshouseError):
    """The caller asked for something that this model or command cannot do."""

    code = "bad_request"
    exit_code = 2


class ConfigError(GlasshouseError):
    """Settings that cannot work together or at all."""

    code = "config"
    exit_code = 3


class ServiceError(GlasshouseError):
    """A service could not answer."""

    code = "service"
    exit_code = 4


class UnreachableError(ServiceError):
    """Nobody answers at the endpoint."""

    code = "unreachable"


class DeadlineError(ServiceError):
    """No answer came in time."""

    code = "deadline"


class BusyError(ServiceError):
    """The service's queue of rows is full; try again later."""

    code = "busy"
    retryable = True


class DrainingError(ServiceError):
    """The service finishes what it has and takes nothing new."""

    code = "draining"
    retryable = True


class ModelFailedError(ServiceError):
    """The model raised while computing these rows."""

    code = "model_failed"


class SlotLostError(ServiceError):
    """The slot that a reference names was released, or its pool is not on this host."""

    code = "slot_lost"
    retryable = True


class ServiceLostError(ServiceError):
    """The service's process ended."""

    code = "lost"


class ProtocolError(GlasshouseError):
    """Bytes that are no message of this protocol."""

    code = "protocol"
    exit_code = 5


class VersionError(ProtocolError):
    """The peer speaks another version of the protocol."""

    code = "version"


class WeightsError(GlasshouseError):
    """A model's file is missing or damaged."""

    code = "weights"
    exit_code = 6


class StorageError(GlasshouseError):
    """A file or folder cannot be read or written (full disk, read-only folder)."""

    code = "storage"
    exit_code = 7


def _walk(cls: type[GlasshouseError]) -> list[type[GlasshouseError]]:
    return [cls, *(leaf for child in cls.__subclasses__() for leaf in _walk(child))]


BY_CODE: dict[str, type[GlasshouseError]] = {cls.code: cls for cls in _walk(GlasshouseError)}


def from_wire(code: str, message: str) -> GlasshouseError:
    """The error that a peer sent; an unknown code becomes the root class."""
    return BY_CODE.get(code, GlasshouseError)(message)


@contextmanager
def mistakes_in_one_sentence(program: str) -> Iterator[None]:
    """For a command line's `main`: a mistake ends it with its sentence on stderr and exit code.

    What the system says of a file, such as a name that is too long, counts as StorageError.
    """
    try:
        yield
    except GlasshouseError as error:
        mistake = error
    except OSError as error:
        if error.filename is None:  # nothing that a user named: it is a fault of ours
            raise
        name = str(error.filename)
        shown = name if len(name) <= SHOWN else f"{name[:SHOWN]}…"
        mistake = StorageError(f"{shown} cannot be used: {error.strerror}")
    else:
        return
    sys.stderr.write(f"{program}: {mistake.message}\n")
    sys.exit(mistake.exit_code)
