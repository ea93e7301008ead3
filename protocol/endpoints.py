"""Where services listen: checked addresses, and the folder of sockets that cleans itself.

Sockets of a user lie in one folder that only this user can enter. Their names are unique per
incarnation, because a second bind to an `ipc://` path silently steals it. A file left by a killed
process is recognised by the kernel's own answer (connection refused) and swept.
"""

import ipaddress
import os
import re
import secrets
import socket
import stat
import tempfile
from pathlib import Path

from protocol.errors import ConfigError

MAX_SOCKET_PATH = 107  # sun_path of Linux, less its final zero
_TCP = re.compile(r"tcp://(?P<host>\[[0-9a-fA-F:]+\]|[^:/\s\[\]*]+):(?P<port>\d{1,5})")


def runtime_dir() -> Path:
    """The user's folder for sockets, made with mode 0700.

    `$XDG_RUNTIME_DIR/glasshouse`, or `glasshouse-UID` in the temporary folder.

    Raises:
        ConfigError: the folder cannot be made, or belongs to or is open to somebody else.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    uid = os.getuid()
    path = Path(base, "glasshouse") if base else Path(tempfile.gettempdir(), f"glasshouse-{uid}")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ConfigError(
            f"the folder for sockets {path} cannot be made ({error.strerror}); "
            "set XDG_RUNTIME_DIR to a folder of yours"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        raise ConfigError(
            f"the folder for sockets {path} must belong to you with mode 0700; "
            "set XDG_RUNTIME_DIR to a folder of yours"
        )
    return path


def new_endpoint(role: str) -> str:
    """A fresh `ipc://` endpoint in the runtime folder, never used before."""
    return check_endpoint(f"ipc://{runtime_dir() / f'{role}-{secrets.token_hex(6)}.sock'}")


def check_endpoint(endpoint: str) -> str:
    """`endpoint`, if something can listen or connect there.

    Raises:
        ConfigError: neither `ipc:///absolute/path` nor `tcp://host:port`, or a path too long.
    """
    path = socket_path(endpoint)
    if path is not None:
        if not path.is_absolute() or "\0" in endpoint:
            raise ConfigError(f"'{endpoint}' must name an absolute path: ipc:///folder/name.sock")
        if len(os.fsencode(path)) > MAX_SOCKET_PATH:
            raise ConfigError(
                f"the socket path {path} is over {MAX_SOCKET_PATH} bytes; choose a shorter folder"
            )
        return endpoint
    match = _TCP.fullmatch(endpoint)
    if match is None or int(match["port"]) > 65_535:
        raise ConfigError(
            f"'{endpoint}' is no endpoint; wanted ipc:///folder/name.sock or tcp://host:port"
        )
    return endpoint


def is_local(endpoint: str) -> bool:
    """Whether only this machine can reach a checked endpoint: ipc, or a loopback address."""
    match = _TCP.fullmatch(endpoint)
    if match is None:
        return socket_path(endpoint) is not None
    if match["host"] == "localhost":
        return True
    try:
        return ipaddress.ip_address(match["host"].strip("[]")).is_loopback
    except ValueError:
        return False  # a name or an interface


def socket_path(endpoint: str) -> Path | None:
    """The file of an `ipc://` endpoint; None for others."""
    return Path(endpoint.removeprefix("ipc://")) if endpoint.startswith("ipc://") else None


def is_socket(path: Path) -> bool:
    """Whether that very file is a socket, and no link to one."""
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False


def is_abandoned(path: Path) -> bool:
    """Whether a file is a socket that is left over: nobody listens behind it."""
    if not is_socket(path):  # the kernel refuses to connect to any other file, too
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def registration_path(endpoint: str) -> Path | None:
    """The file that lets others find a service (`registry.py`); None outside the runtime folder."""
    path = socket_path(endpoint)
    if path is None or path.suffix != ".sock" or path.parent != runtime_dir():
        return None
    return path.with_suffix(".json")


def remove_socket(endpoint: str) -> None:
    """Remove the files of an `ipc://` endpoint whose service has ended; others need nothing."""
    path = socket_path(endpoint)
    if path is not None:
        registration = registration_path(endpoint)
        if registration is not None:
            registration.unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def sweep() -> list[Path]:
    """Remove what killed services left in the runtime folder; returns their sockets."""
    left = [path for path in runtime_dir().glob("*.sock") if is_abandoned(path)]
    for path in left:
        path.unlink(missing_ok=True)
    for path in runtime_dir().glob("*.json"):
        if not path.with_suffix(".sock").exists():  # it appears after its socket
            path.unlink(missing_ok=True)
    return left
