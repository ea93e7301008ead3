"""Services as child processes of this one.

Each gets a fresh socket, a log file, and the far end of a pipe as its stdin: when this process is
gone, however it ended, the pipe closes and the service leaves too. They stand in a process group of
their own, so that Ctrl-C in the terminal reaches only the orchestrator. Stopping asks first and
kills after a while; either way the process is waited for and its socket file removed.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from protocol import slots
from protocol.endpoints import new_endpoint, remove_socket, sweep
from protocol.errors import BY_CODE, GlasshouseError, ServiceError, StorageError
from protocol.messages import Role

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 5.0
POLL_S = 0.05


@dataclass(frozen=True)
class ServiceSpec:
    """A service to start.

    Attributes:
        role: generator, clip, discriminator or classifier.
        model: catalogue name or path.
        device: `cpu` or `cuda:N`.
        threads: CPU threads; 0 for one a core.
    """

    role: Role
    model: str
    device: str = "cpu"
    threads: int = 0


@dataclass
class LocalService:
    """A service that this process started.

    Attributes:
        spec: what was asked for.
        endpoint: where it listens once it is ready.
        process: the child.
        log_path: its stderr.
        digest: of its model; empty until it is ready.
    """

    spec: ServiceSpec
    endpoint: str
    process: subprocess.Popen[bytes]
    log_path: Path
    digest: str = ""
    _said: bytes = field(default=b"", repr=False)

    @property
    def ready(self) -> bool:
        """Whether it has said READY."""
        return bool(self.digest)

    def poll(self) -> None:
        """Read what it said since.

        Raises:
            GlasshouseError: it ended before it was ready; the class is that of its exit code.
        """
        if self.ready:
            return
        if self.process.stdout is not None and not self.process.stdout.closed:
            self._said += self.process.stdout.read() or b""
        for line in self._said.decode(errors="replace").splitlines():
            words = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if line.startswith("READY ") and "digest" in words:
                self.digest = words["digest"]
                return
        if self.process.poll() is not None:
            raise self._failure()

    def gone(self) -> str | None:
        """Why the process is no more, or None while it lives."""
        code = self.process.poll()
        if code is None:
            return None
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"the {self.spec.role} service ({self.spec.model}) {how}; its log: {self.log_path}"

    def close(self) -> None:
        """Wait for the killed process, and remove its socket."""
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        remove_socket(self.endpoint)

    def _failure(self) -> GlasshouseError:
        code = self.process.returncode
        return start_failure(self.spec.role, code, self.log_path) or ServiceError(
            f"{self.gone()} (it was still starting)"
        )


def service_command(spec: ServiceSpec, endpoint: str) -> list[str]:
    """The command that starts a service."""
    command = [sys.executable, "-P", "-m", "services", spec.role, "--model", spec.model]
    return [*command, "--bind", endpoint, "--device", spec.device, "--threads", str(spec.threads)]


def start_failure(role: Role, code: int, log_path: Path) -> GlasshouseError | None:
    """Why a service ended before it was ready, if its log says so."""
    try:
        lines = log_path.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    said = [line for line in lines if line.startswith("service: ")]
    if not said or code <= 0:
        return None
    cls = next((c for c in BY_CODE.values() if c.exit_code == code), ServiceError)
    return cls(f"the {role} could not start: {said[-1].removeprefix('service: ')}")


class LocalLauncher:
    """Starts services on this machine; leaving the `with` block stops them all."""

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self.services: list[LocalService] = []

    def __enter__(self) -> Self:
        sweep()
        slots.sweep()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.kill()  # a user in a hurry
        else:
            self.stop()

    def start(self, spec: ServiceSpec) -> LocalService:
        """Start a service and return at once; it is not ready yet.

        Raises:
            StorageError: its log cannot be written.
        """
        endpoint = new_endpoint(spec.role)
        log_path = self._log_path(spec.role)
        command = service_command(spec, endpoint)
        try:
            with log_path.open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 # our own command, no shell
                    [*command, "--owned"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                    process_group=0,
                )
        except OSError as error:
            raise StorageError(
                f"the {spec.role} could not be started with its log at {log_path}: {error.strerror}"
            ) from error
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
        service = LocalService(spec, endpoint, process, log_path)
        self.services.append(service)
        return service

    def wait_ready(
        self,
        services: Sequence[LocalService],
        on_wait: Callable[[], None],
        timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        """Wait until all of these are ready; `on_wait` is called about twenty times a second.

        Raises:
            GlasshouseError: one of them ended, or took longer than `timeout_s`.
        """
        until = time.monotonic() + timeout_s
        while True:
            for service in services:
                service.poll()
            on_wait()
            slow = [service for service in services if not service.ready]
            if not slow:
                return
            if time.monotonic() > until:
                raise ServiceError(
                    f"the {slow[0].spec.role} was not ready within {timeout_s:.0f} s; "
                    f"its log: {slow[0].log_path}"
                )
            time.sleep(POLL_S)

    def _log_path(self, role: Role) -> Path:
        """`generator.log`; `generator-2.log` for the second of a role."""
        number = 1 + sum(service.spec.role == role for service in self.services)
        return self._log_folder / (f"{role}.log" if number == 1 else f"{role}-{number}.log")

    def end(self, service: LocalService) -> None:
        """End one at once, and remove what it leaves."""
        service.process.kill()
        service.close()
        slots.sweep()

    def stop(self) -> None:
        """Ask all services to leave, kill those that do not, and remove their sockets."""
        try:
            for service in self.services:
                service.process.terminate()
            until = time.monotonic() + STOP_TIMEOUT_S
            for service in self.services:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    service.process.wait(timeout=max(0.0, until - time.monotonic()))
        finally:  # also when an impatient user interrupts the waiting
            self.kill()

    def kill(self) -> None:
        """End all services at once, and remove their sockets."""
        for service in self.services:
            service.process.kill()
        for service in self.services:
            service.close()
        slots.sweep()  # of those that had to be killed
        self.services.clear()
