"""Answers by content, so that asking again costs nothing and changes nothing.

The key of a request is blake2b over the model's digest, the method with its parameters, and its
tensors; a slot stands for what it holds, since its reuse count changes with the content. Who asks
what is being computed for somebody already joins that, and who asks what was computed lately is
answered from memory. Both are bounded: requests over 1 MiB are not hashed (a hash of pixels takes
longer than many a model), and answers are kept up to `GLASSHOUSE_REMEMBER_MB` megabytes, 64 by
default; 0 turns all of this off, for measurements.
"""

import hashlib
import math
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from protocol.errors import ConfigError
from protocol.messages import Method
from protocol.tensors import Array
from services.runtime.scheduler import Work

MOST_HASHED_BYTES = 1 << 20
DEFAULT_MB = 64.0


@dataclass(frozen=True)
class _Known:
    """What was computed for one key."""

    outputs: dict[int, tuple[Array, ...]]
    compute_s: float
    nbytes: int


class Answers:
    """What one service has answered lately, and who waits for what it computes.

    Args:
        digest: of its model.
        most_bytes: of answers that are kept; 0 to keep none and join nobody.
    """

    def __init__(self, digest: str, most_bytes: int) -> None:
        self._digest = digest.encode()
        self._most_bytes = most_bytes
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._bytes = 0
        self._leads: dict[bytes, Work] = {}
        self._followers: dict[bytes, list[Work]] = {}

    def key(self, call: Method, tensors: Sequence[memoryview]) -> bytes:
        """16 bytes that stand for a request; empty for one that is not to be compared."""
        if not self._most_bytes or sum(tensor.nbytes for tensor in tensors) > MOST_HASHED_BYTES:
            return b""
        content = hashlib.blake2b(self._digest, digest_size=16)
        content.update(msgspec.msgpack.encode(call))
        for tensor in tensors:
            content.update(tensor)
        return content.digest()

    def recall(self, work: Work) -> bool:
        """Give a request the outputs of an equal one, if they are known."""
        known = self._known.get(work.key)
        if known is None:
            return False
        self._known.move_to_end(work.key)
        work.outputs, work.compute_s = known.outputs, known.compute_s
        return True

    def join(self, work: Work) -> bool:
        """Let a request wait for an equal one that is under way; else it becomes such a one."""
        if not work.key:
            return False
        if work.key in self._leads:
            self._followers.setdefault(work.key, []).append(work)
            return True
        self._leads[work.key] = work
        return False

    def ended(self, work: Work, *, well: bool) -> list[Work]:
        """Those that waited for it; with its outputs if it ended well."""
        if self._leads.get(work.key) is not work:
            return []
        del self._leads[work.key]
        waited = [one for one in self._followers.pop(work.key, ()) if not one.cancelled]
        if well:
            for one in waited:
                one.outputs, one.compute_s = work.outputs, work.compute_s
        return waited

    def forget(self, peer: bytes, request_id: bytes | None) -> None:
        """A peer waits no more, or not for one of its requests."""
        for followers in self._followers.values():
            for one in followers:
                if one.peer == peer and request_id in {None, one.request_id}:
                    one.cancelled = True

    def expire(self, now: float) -> None:
        """Requests for which nobody waits any more."""
        for followers in self._followers.values():
            for one in followers:
                one.cancelled |= now >= one.deadline

    def abandoned(self) -> list[Work]:
        """Those that must be computed after all, because the ones they waited for were dropped."""
        gone = [work for work in self._leads.values() if work.cancelled]
        return [one for work in gone for one in self.ended(work, well=False)]

    def held(self, peer: bytes) -> set[bytes]:
        """Ids of a peer's requests that wait here."""
        return {
            one.request_id
            for followers in self._followers.values()
            for one in followers
            if one.peer == peer and not one.cancelled
        }

    def remember(self, work: Work) -> None:
        """Keep a copy of what was answered: the outputs themselves may lie in slots.

        Best after the answer, which needs not wait for the copying.
        """
        nbytes = sum(array.nbytes for part in work.outputs.values() for array in part)
        if not work.key or work.key in self._known or nbytes > self._most_bytes:
            return
        outputs = {
            start: tuple(array.copy() for array in part) for start, part in work.outputs.items()
        }
        known = _Known(outputs, work.compute_s, nbytes)
        self._known[work.key] = known
        self._bytes += known.nbytes
        while self._bytes > self._most_bytes:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= oldest.nbytes


def remembered_bytes() -> int:
    """How much a service remembers, from the environment.

    Raises:
        ConfigError: the variable is no number.
    """
    said = os.environ.get("GLASSHOUSE_REMEMBER_MB", "")
    try:
        megabytes = float(said or DEFAULT_MB)
    except ValueError:
        megabytes = math.nan
    if not 0 <= megabytes < math.inf:
        raise ConfigError(f"GLASSHOUSE_REMEMBER_MB is a number of megabytes, not '{said}'")
    return int(megabytes * 1e6)
