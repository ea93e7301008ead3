"""`models`: handed to the services' own command, because only services know models."""

import os
import sys
from typing import Any, Final

import typer

PASSED_ON: Final[dict[str, Any]] = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}


def models(context: typer.Context) -> None:
    """List models, fetch them, or register files of your own.

    orchestrator models

    orchestrator models pull stylegan2-ffhq
    """
    command = [sys.executable, "-P", "-m", "services.fetching.commands", *context.args]
    os.execv(sys.executable, command)  # noqa: S606 # ours; its exit code is that of this process
