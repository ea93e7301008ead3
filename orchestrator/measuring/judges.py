"""Services that judge, for as long as a measurement takes: the user's living ones, or its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.fleet.assemble import Finder, await_ready
from orchestrator.fleet.launcher import LocalLauncher
from orchestrator.fleet.replicas import Replicas
from orchestrator.settings import RunSettings
from protocol.client import Client
from protocol.messages import Role
from protocol.patience import PATIENCE, Patience


@contextmanager
def judges(
    wanted: Mapping[str, tuple[Role, str]],
    *,
    device: str = "cpu",
    threads: int = 0,
    patience: Patience = PATIENCE,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[dict[str, Replicas]]:
    """Services by any names while the block runs, all of them ready; from one thread only.

    Args:
        wanted: name -> role and model (or endpoints); what is wanted twice is served once.
        device: where those compute that have to be started.
        threads: CPU threads of each of them; 0 for a fair share.
        patience: how long it waits for what.
        on_wait: called about twenty times a second while they start.

    Raises:
        GlasshouseError: one cannot start or cannot be reached.
    """
    settings = RunSettings("", device=device, threads=threads)
    with (
        TemporaryDirectory() as logs,
        LocalLauncher(Path(logs)) as launcher,
        Client(patience=patience) as client,
    ):
        finder = Finder(launcher, client, settings, on_wait)
        found = {kind: finder.find(*kind) for kind in dict.fromkeys(wanted.values())}
        await_ready(list(found.values()), on_wait)
        yield {name: found[kind].settled() for name, kind in wanted.items()}
