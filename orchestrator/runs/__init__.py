"""Run folders: where a run's settings, events and pictures are kept."""

from orchestrator.runs.folder import RunFolder, Status, versions
from orchestrator.runs.slug import slug

__all__ = ["RunFolder", "Status", "slug", "versions"]
