"""What a user sees while a run lives.

Three steps: `make_display` chooses how to show a run on this terminal, the run hands it a
`Snapshot` as often as it likes, `stop` leaves a readable last frame. Importing this package needs
neither rich nor numpy; a display loads what it draws with.
"""

from orchestrator.terminal.choose import Display, Images, Ui, make_display
from orchestrator.terminal.snapshot import Phase, ServiceState, ServiceStatus, Snapshot

__all__ = [
    "Display",
    "Images",
    "Phase",
    "ServiceState",
    "ServiceStatus",
    "Snapshot",
    "Ui",
    "make_display",
]
