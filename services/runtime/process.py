"""A service as a process: how it starts, says READY, and ends.

One line on stdout says that it serves: `READY model=NAME digest=DIGEST endpoint=ENDPOINT`; a file
in the runtime folder lets the user's other processes find it (`protocol/registry.py`). SIGTERM and
SIGINT drain it: what is queued is answered, clients get BYE, its files go, exit code 0.
A service that belongs to a parent (`--owned`) ignores SIGINT, which a terminal sends to everybody,
and watches its stdin: when the parent is gone, however it ended, the pipe closes and so does the
service. The kernel sees to it as well (`PR_SET_PDEATHSIG`), for a model that does not let the
interpreter run.
"""

import contextlib
import ctypes
import logging
import os
import secrets
import select
import signal
import sys
import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol import keys, slots
from protocol.endpoints import (
    check_endpoint,
    is_abandoned,
    is_local,
    is_socket,
    new_endpoint,
    remove_socket,
    socket_path,
    sweep,
)
from protocol.errors import ConfigError
from protocol.messages import Role as RoleName
from protocol.messages import ScorerInfo
from protocol.naming import model_key
from protocol.registry import Registration, register
from services.runtime.memory import keep_memory

if TYPE_CHECKING:
    from services.runtime.role import Role

ORPHAN_EXIT_S = 3.0
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class ServeOptions:
    """What the command line gave.

    Attributes:
        role: generator, clip, discriminator, classifier or scorer.
        model: catalogue name or path; of a scorer, `file.py:function`.
        bind: endpoint; empty for a fresh socket in the runtime folder.
        device: `cpu` or `cuda:N`.
        threads: CPU threads for the model; 0 for one a core.
        owned: whether to end with the parent.
        scorer: what a scorer says of itself; None for other roles.
    """

    role: RoleName
    model: str
    bind: str = ""
    device: str = "cpu"
    threads: int = 0
    owned: bool = False
    scorer: ScorerInfo | None = None


class Parent:
    """Watches the death pipe, from the first moment on: loading takes seconds."""

    def __init__(self, endpoint: str, incarnation: str) -> None:
        self._endpoint = endpoint
        self._incarnation = incarnation
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        end_with_parent()
        threading.Thread(target=self._watch, name="death-pipe", daemon=True).start()

    def _watch(self) -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        remove_socket(self._endpoint)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(ORPHAN_EXIT_S)
        slots.remove(self._incarnation)
        os._exit(1)  # the model did not let go in time; nobody is left to tell


def end_with_parent() -> None:
    """Have the kernel end this process some seconds after its parent, whatever it is doing then.

    A thread that watches a pipe cannot run while C code holds the interpreter lock. So the signal
    of the parent's death is handled by libc's own `alarm`, whose argument, the seconds until
    SIGALRM kills, is then the number of that signal: SIGUSR1, 10. Until then the death pipe has
    time to leave nothing behind. The kernel means the thread that started this process, not its
    process: a thread that starts services must outlive them.
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGUSR1, ctypes.cast(libc.alarm, ctypes.c_void_p))
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0)
    watch = select.poll()
    watch.register(sys.stdin.fileno(), 0)
    if watch.poll(0):  # it died before the kernel was told; POLLHUP is always reported
        libc.alarm(signal.SIGUSR1)


def serve(options: ServeOptions) -> None:
    """Load the model, bind, say READY, serve until told to leave, and end the process.

    Raises:
        GlasshouseError: the model, the device or the endpoint is not to be had.
    """
    keep_memory()
    sweep()
    slots.sweep()
    endpoint = claim_endpoint(options.bind or new_endpoint(options.role))
    incarnation = secrets.token_hex(8)
    if options.owned:
        Parent(endpoint, incarnation)
    else:
        signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)
    try:
        with contextlib.suppress(_LeaveError):
            _serve(options, endpoint, incarnation)
    finally:
        remove_socket(endpoint)
        slots.remove(incarnation)
    logging.shutdown()
    os._exit(0)  # taking torch apart would keep whoever waits for seconds


def claim_endpoint(endpoint: str) -> str:
    """`endpoint`, if it may be bound here.

    Raises:
        ConfigError: it is no endpoint, somebody listens there already, its path is another file's,
            or it is open to other machines and there are no keys, or nobody is allowed.
            All is said now, not after the minutes in which a model is loaded.
    """
    path = socket_path(check_endpoint(endpoint))
    if path is None:
        if not is_local(endpoint) and not (keys.identity() and keys.allowed()):
            raise ConfigError(
                f"{endpoint} is open to other machines, and nobody is allowed to use it; let "
                "somebody in with: orchestrator keys allow KEY NAME"
            )
        from services.runtime.server import check_free

        check_free(endpoint)
        return endpoint
    if path.exists():
        if not is_socket(path):
            raise ConfigError(f"{path} is there already and is no socket; choose another --bind")
        if not is_abandoned(path):
            raise ConfigError(
                f"something listens at {endpoint} already; choose another --bind or stop it first"
            )
        path.unlink()
    if not path.parent.is_dir():
        raise ConfigError(f"the folder {path.parent} for the socket does not exist; make it first")
    return endpoint


class _LeaveError(BaseException):
    """Raised by the signal handler while the model is still being loaded."""


def _leave(_signal: int, _frame: object) -> None:
    raise _LeaveError


def _serve(options: ServeOptions, endpoint: str, incarnation: str) -> None:
    from services.runtime.server import Server

    role = _load(options)
    identity = None if is_local(endpoint) else keys.identity()
    server = Server(role, endpoint, incarnation, identity)
    signal.signal(signal.SIGTERM, lambda *_: server.drain("told to stop"))
    if not options.owned:
        signal.signal(signal.SIGINT, lambda *_: server.drain("told to stop"))
    info = role.info
    name = options.model if options.scorer else model_key(options.model)
    digest, device = info.digest, info.device
    register(endpoint, Registration(options.role, name, digest, device, options.owned))
    print(f"READY model={info.model} digest={info.digest} endpoint={server.endpoint}", flush=True)  # noqa: T201 # read by the parent
    server.run()


def _load(options: ServeOptions) -> "Role":
    if options.scorer is not None:
        from services.scorer.role import load_scorer

        return load_scorer(options.model, options.scorer)
    from services.catalogue import find_model

    model = find_model(options.model, options.role)
    _ = model.path  # a missing file is said before torch is imported
    import torch

    from services.loading import load_role

    # Pictures in a slot are mapped read-only, and no model writes to its input.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    torch.set_num_threads(options.threads or _cores())
    return load_role(model, options.device)


def _cores() -> int:
    """Those that a container's quota and a job's affinity leave."""
    from joblib import cpu_count

    return int(cpu_count())
