"""Services that stay: started once, found by every run of this user, ended by `orchestrator down`.

Each is a session of its own, so that neither Ctrl-C nor the end of the terminal reaches it; its log
lies beside its socket. It says that it is ready by its registration. Ending one asks the process
that the kernel names as the listener of its socket, never a number read from a file.
"""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.fleet.launcher import (
    POLL_S,
    START_TIMEOUT_S,
    ServiceSpec,
    service_command,
    start_failure,
)
from protocol.endpoints import new_endpoint, remove_socket, runtime_dir, sweep
from protocol.errors import BadRequestError, GlasshouseError, ServiceError, StorageError
from protocol.naming import model_key, weights_path
from protocol.registry import Registered, registered

DRAIN_S = 35.0  # a service gives itself 30


def living(spec: ServiceSpec) -> list[Registered]:
    """Services to share that hold this model on this device, oldest first.

    One that is older than the file of its weights holds what the file held before: passed over.
    """
    device = "cuda:0" if spec.device == "cuda" else spec.device
    wanted = (spec.role, model_key(spec.model), device)
    return [
        one
        for one in registered()
        if (one.registration.role, one.registration.model, one.registration.device) == wanted
        and not one.registration.owned
        and one.since >= _changed(one.registration.model)
    ]


def _changed(model: str) -> float:
    """When the file of a model was last written; 0 for one of the catalogue."""
    path = weights_path(model)
    try:
        return path.stat().st_mtime if path else 0.0
    except OSError:
        return 0.0


@dataclass
class Starting:
    """A service that is being started to stay."""

    spec: ServiceSpec
    endpoint: str
    process: subprocess.Popen[bytes]

    @property
    def name(self) -> str:
        """Of its socket, without the ending."""
        return Path(self.endpoint).stem

    @property
    def log_path(self) -> Path:
        """What it says."""
        return runtime_dir() / f"{self.name}.log"

    def check(self) -> None:
        """Refuse to wait for one that has ended.

        Raises:
            GlasshouseError: why it could not start.
        """
        code = self.process.poll()
        if code is not None:
            raise start_failure(self.spec.role, code, self.log_path) or ServiceError(
                f"the {self.spec.role} ({self.spec.model}) ended with exit code {code} while it "
                f"was starting; its log: {self.log_path}"
            )

    def abandon(self) -> None:
        """End it at once, and leave nothing but the log of a failure."""
        failed = self.process.poll() is not None
        self.process.kill()
        self.process.wait()
        remove_socket(self.endpoint)
        if not failed:
            self.log_path.unlink(missing_ok=True)


def up(
    wanted: Sequence[ServiceSpec], replicas: int, on_wait: Callable[[Sequence[str]], None]
) -> tuple[list[Registered], list[Registered]]:
    """See to it that `replicas` services of each kind live; all of them, or none is started.

    Args:
        wanted: what to serve.
        replicas: how many of each.
        on_wait: called twenty times a second with the names of those that are not ready.

    Returns:
        Those that lived already, and those that were started.

    Raises:
        GlasshouseError: why one could not start; what this call started is ended again.
    """
    sweep()
    before = [one for spec in wanted for one in living(spec)[:replicas]]
    missing = [spec for spec in wanted for _ in range(replicas - len(living(spec)))]
    started: list[Starting] = []
    try:
        for spec in missing:
            started.append(_start(spec))  # noqa: PERF401 # those before are ended when one fails
        return before, _wait_ready(started, on_wait)
    except BaseException:
        for one in started:
            one.abandon()
        raise


def _start(spec: ServiceSpec) -> Starting:
    endpoint = new_endpoint(spec.role)
    log_path = Path(endpoint.removeprefix("ipc://")).with_suffix(".log")
    try:
        with log_path.open("xb") as log:
            process = subprocess.Popen(  # noqa: S603 # our own command, no shell
                service_command(spec, endpoint),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise StorageError(
            f"the {spec.role} could not be started with its log at {log_path}: {error.strerror}"
        ) from error
    return Starting(spec, endpoint, process)


def _wait_ready(
    started: Sequence[Starting], on_wait: Callable[[Sequence[str]], None]
) -> list[Registered]:
    names = {one.name for one in started}
    until = time.monotonic() + START_TIMEOUT_S
    while True:
        ready = [one for one in registered() if one.name in names]
        slow = sorted(names - {one.name for one in ready})
        on_wait(slow)
        if not slow:
            return ready
        for one in started:
            one.check()
        if time.monotonic() > until:
            raise ServiceError(
                f"{slow[0]} was not ready within {START_TIMEOUT_S:.0f} s; "
                f"its log: {runtime_dir() / slow[0]}.log"
            )
        time.sleep(POLL_S)


def find(words: Sequence[str], *, owned: bool = False) -> list[Registered]:
    """The services that these words name: a role, a name or its beginning; all without words.

    Args:
        words: what the user typed.
        owned: whether services that belong to a run count, too.

    Raises:
        BadRequestError: a word names none.
    """
    known = [one for one in registered() if owned or not one.registration.owned]
    for word in words:
        if not any(one.name.startswith(word) for one in known):
            names = ", ".join(one.name for one in known) or "none lives"
            raise BadRequestError(f"no service is called '{word}'; known: {names}")
    return [one for one in known if not words or any(one.name.startswith(w) for w in words)]


def down(services: Sequence[Registered], timeout_s: float = DRAIN_S) -> list[Registered]:
    """Ask services to leave, and kill those that have not after a while; returns the killed.

    Requests that they hold are answered first.

    Raises:
        GlasshouseError: one of them may not be ended by this user.
    """
    handles = [(one, handle) for one in services if (handle := _handle(one)) is not None]
    try:
        for one, handle in handles:
            _signal(one, handle, signal.SIGTERM)
        until = time.monotonic() + timeout_s
        slow = [pair for pair in handles if not _ended(pair[1], until - time.monotonic())]
        for one, handle in slow:
            _signal(one, handle, signal.SIGKILL)
            _ended(handle, 5.0)
    finally:
        for _, handle in handles:
            os.close(handle)
    for one in services:
        remove_socket(one.endpoint)
        one.log_path.unlink(missing_ok=True)
    return [one for one, _ in slow]


def read_log(name: str) -> str:
    """What a service that stays has said, also one that has ended; `name` may be a beginning.

    Raises:
        BadRequestError: there is no such log, or there are several.
    """
    found = sorted(runtime_dir().glob("*.log"))
    chosen = [path for path in found if path.stem.startswith(name)]
    if len(chosen) != 1:
        known = ", ".join(path.stem for path in chosen or found) or "none"
        raise BadRequestError(f"'{name}' names {len(chosen)} logs of services that stay; {known}")
    return chosen[0].read_text(errors="replace")


def remove_leftovers() -> None:
    """Remove what services that have ended by themselves left."""
    sweep()
    names = {one.name for one in registered()}
    for path in runtime_dir().glob("*.log"):
        if path.stem not in names and not path.with_suffix(".sock").exists():
            path.unlink(missing_ok=True)


def _handle(one: Registered) -> int | None:
    """A handle on the process that listens there, which no other process can inherit."""
    pid = one.pid()
    if pid is None:
        return None
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if one.pid() != pid:  # it ended meanwhile, and the number may be somebody else's
        os.close(handle)
        return None
    return handle


def _signal(one: Registered, handle: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise GlasshouseError(f"{one.name} may not be ended by you") from error


def _ended(handle: int, timeout_s: float) -> bool:
    """Whether the process ends within `timeout_s`."""
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    with contextlib.suppress(InterruptedError):
        return bool(waiting.poll(max(0.0, timeout_s) * 1000))
    return False
