"""What a run is told of its prompt before it begins."""

from dataclasses import replace

import pytest

from orchestrator.settings import RunSettings
from tests.orchestrator.ensemble import events, fleet, grow, settings

__all__ = ["fleet", "settings"]  # fixtures


@pytest.mark.usefixtures("fleet")
def test_a_prompt_that_clip_does_not_see_whole_is_said_in_the_log(settings: RunSettings) -> None:
    folder = grow(replace(settings, prompt="yellow car " * 9, generations=2))
    (said,) = events(folder, "service")
    assert "more than the 12 tokens" in str(said["message"])
    assert not events(grow(replace(settings, generations=2)), "service")
