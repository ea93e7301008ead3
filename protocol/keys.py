"""Who may speak to whom beyond this machine: three small files, after the manner of ssh.

In `$XDG_CONFIG_HOME/glasshouse` (or `~/.config/glasshouse`), a folder of mode 0700:

    identity   this user's key pair on this machine: two lines, public and secret
    allowed    who may use services of this user: lines `KEY NAME`
    servers    whom this user trusts to be a service: lines `HOST:PORT KEY`

All have mode 0600; a secret that others can read is refused. Keys are Curve25519, 64 hex digits.
The same identity serves and asks. Sockets on this machine (ipc, loopback) need none of it.
"""

import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from protocol.endpoints import is_local
from protocol.errors import BadRequestError, ConfigError

_KEY = re.compile(r"\A[0-9a-f]{64}\Z")
_NAME = re.compile(r"\A[\w.@-]{1,100}\Z")


@dataclass(frozen=True)
class Identity:
    """A key pair, 32 bytes each."""

    public: bytes
    secret: bytes = field(repr=False)


def keys_dir() -> Path:
    """The user's folder for keys, made with mode 0700.

    Raises:
        ConfigError: it cannot be made, or belongs to or is open to somebody else.
    """
    base = os.environ.get("XDG_CONFIG_HOME")
    path = (Path(base) if base else Path.home() / ".config") / "glasshouse"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ConfigError(f"the folder for keys {path} cannot be made: {error.strerror}") from error
    if path.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigError(f"the folder for keys {path} must be yours alone: chmod 700 {path}")
    return path


def new_identity(*, replace: bool = False) -> Identity:
    """Make this user's key pair.

    Raises:
        BadRequestError: there is one already and it is not to be replaced.
    """
    import zmq
    from zmq.utils import z85

    if (keys_dir() / "identity").exists() and not replace:
        raise BadRequestError(
            "you have a key already (see: orchestrator keys list); with --replace a new one is "
            "made, and everybody who allowed or trusted the old one must be told"
        )
    public, secret = (z85.decode(key) for key in zmq.curve_keypair())
    _write("identity", [public.hex(), secret.hex()])
    return Identity(public, secret)


def identity() -> Identity:
    """This user's key pair.

    Raises:
        ConfigError: there is none, or the file is damaged or open to others.
    """
    lines = _read("identity")
    if not lines:
        raise ConfigError("you have no key yet; make one with: orchestrator keys new")
    if len(lines) != 2 or not all(_KEY.match(line) for line in lines):
        raise ConfigError(f"{keys_dir() / 'identity'} is damaged; see: orchestrator keys new")
    return Identity(*(bytes.fromhex(line) for line in lines))


def allow(key: str, name: str) -> None:
    """Let the owner of a public key use this user's services.

    Raises:
        BadRequestError: not a key, or a name with other signs than letters, digits and `._@-`.
    """
    check_key(key)
    if not _NAME.match(name):
        raise BadRequestError(f"'{name}' is no name; wanted letters, digits and . _ @ -")
    others = [f"{known} {owner}" for known, owner in allowed().items() if known != key]
    _write("allowed", [*others, f"{key} {name}"])


def allowed() -> dict[str, str]:
    """Public keys that may use this user's services, and whose they are."""
    pairs = (line.split(" ", 1) for line in _read("allowed"))
    return {pair[0]: pair[-1] for pair in pairs if _KEY.match(pair[0])}


def trust(endpoint: str, key: str) -> None:
    """Remember the public key of the service at `tcp://HOST:PORT`.

    Raises:
        BadRequestError: not a key, or not a TCP endpoint.
    """
    check_key(key)
    if not endpoint.startswith("tcp://"):
        raise BadRequestError(f"only tcp://HOST:PORT needs a key, not '{endpoint}'")
    place = endpoint.removeprefix("tcp://")
    others = [f"{known} {its}" for known, its in servers().items() if known != place]
    _write("servers", [*others, f"{place} {key}"])


def servers() -> dict[str, str]:
    """Services elsewhere that this user trusts: `HOST:PORT` and their public key."""
    pairs = (line.split(" ", 1) for line in _read("servers"))
    return {pair[0]: pair[-1] for pair in pairs if _KEY.match(pair[-1])}


def server_key(endpoint: str) -> bytes | None:
    """The public key that the service at `endpoint` must have; None on this machine without one.

    Raises:
        ConfigError: it is on another machine and no key is known.
    """
    if not endpoint.startswith("tcp://"):
        return None
    key = servers().get(endpoint.removeprefix("tcp://"))
    if key is not None:
        return bytes.fromhex(key)
    if is_local(endpoint):
        return None
    raise ConfigError(
        f"{endpoint} is another machine and its key is not known; have its owner run "
        f"`orchestrator keys list`, then: orchestrator keys trust {endpoint} KEY"
    )


def check_key(key: str) -> str:
    """`key`, if it is a public key.

    Raises:
        BadRequestError: anything but 64 hex digits.
    """
    if not _KEY.match(key):
        raise BadRequestError(f"'{key}' is no key; wanted 64 hex digits (0-9, a-f)")
    return key


def _read(name: str) -> list[str]:
    path = keys_dir() / name
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    with os.fdopen(fd, encoding="utf-8", errors="replace") as file:
        found = os.fstat(fd)
        if found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise ConfigError(f"{path} must be yours alone: chmod 600 {path}")
        return [line.strip() for line in file if line.strip()]


def _write(name: str, lines: list[str]) -> None:
    path = keys_dir() / name
    new = path.with_name(f"{name}.{secrets.token_hex(4)}")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        new.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
