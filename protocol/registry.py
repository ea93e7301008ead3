"""How the services of a user are found: one small file beside each socket.

A service whose socket lies in the user's runtime folder writes `NAME.json` beside `NAME.sock` once
it is ready, and removes it when it leaves; what a killed one leaves is swept with its socket. The
folder is the user's own (0700) and the file 0600, yet a registration holds no path, no address and
no process id: the address is the file's own name, and who listens there is asked of the kernel. A
file that is damaged, a link, too large or of an unknown kind is passed over.
"""

import contextlib
import os
import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

import msgspec

from protocol.endpoints import is_abandoned, registration_path, runtime_dir
from protocol.messages import Name, Role

MAX_BYTES = 4096
NAME = re.compile(r"[a-z]+-[0-9a-f]{12}")
CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a service says of itself to the user's other processes.

    Attributes:
        role: generator, clip, discriminator or classifier.
        model: catalogue name or the absolute path of its weights, with options (`naming`).
        digest: of the weights, as in WELCOME.
        device: where it computes.
        owned: whether it belongs to one run and ends with it.
    """

    role: Role
    model: Name
    digest: Name
    device: Name
    owned: bool


@dataclass(frozen=True)
class Registered:
    """A living service of this user.

    Attributes:
        name: of its socket, such as `clip-3fa91c07be55`.
        registration: what it says of itself.
        since: when it was ready, in seconds since 1970.
    """

    name: str
    registration: Registration
    since: float

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"ipc://{runtime_dir() / self.name}.sock"

    @property
    def log_path(self) -> Path:
        """Its log, if it was started to stay."""
        return runtime_dir() / f"{self.name}.log"

    def pid(self) -> int | None:
        """The process that listens there now; None if it is gone."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(self.endpoint.removeprefix("ipc://"))
                found = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
            except OSError:
                return None
        pid, uid, _ = CREDENTIALS.unpack(found)
        return pid if pid > 0 and uid == os.getuid() else None


def register(endpoint: str, registration: Registration) -> None:
    """Let others find the service at `endpoint`; one outside the runtime folder stays private."""
    path = registration_path(endpoint)
    if path is None or NAME.fullmatch(path.stem) is None:
        return
    content = msgspec.json.encode(registration)
    with contextlib.suppress(OSError):  # found by fewer, but it serves
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 # a descriptor
            file.write(content)


def registered() -> list[Registered]:
    """All living services of this user that can be found, oldest first."""
    found = [_read(path) for path in runtime_dir().glob("*.json")]
    return sorted((one for one in found if one is not None), key=lambda one: one.since)


def _read(path: Path) -> Registered | None:
    if NAME.fullmatch(path.stem) is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 # a descriptor
            content = file.read(MAX_BYTES + 1)
            since = os.fstat(descriptor).st_mtime
        registration = msgspec.json.decode(content[:MAX_BYTES], type=Registration)
    except (OSError, msgspec.MsgspecError):
        return None
    socket_file = path.with_suffix(".sock")
    if not socket_file.exists() or is_abandoned(socket_file):
        return None
    return Registered(path.stem, registration, since)
