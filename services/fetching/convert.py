"""The process that `sandbox` starts with SOURCE FOLDER NAME OPEN_CLIP BAR_ROWS, and shuts in.

Its stderr ends with one sentence when it fails, with the exit code of that error's class.
"""

import logging
import sys
import zipfile
from pathlib import Path

from protocol.errors import GlasshouseError, WeightsError
from services.fetching.sandbox import shut_in
from services.models.shards import size_bytes


def main() -> None:
    """Convert, say warnings as lines, end with the error's exit code."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    shut_in(folder, size_bytes(source))
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="warning: %(message)s")
    try:
        _convert(source, folder, *sys.argv[3:])
    except GlasshouseError as error:
        _end(error, error.message)
    except MemoryError as error:
        _end(error, "MemoryError")
    except (OSError, ValueError, RuntimeError) as error:
        memory = "can't allocate memory" in str(error)  # how torch says it on a CPU
        _end(error, "MemoryError" if memory else f"{source} could not be read: {error}")


def _convert(source: Path, folder: Path, name: str, open_clip: str, bar_rows: str) -> None:
    _refuse_programs(source)
    if open_clip:
        from services.fetching.open_clips import import_clip

        import_clip(source, folder, name, open_clip)
    else:
        from services.importing import import_file

        import_file(source, folder, name, int(bar_rows))


def _refuse_programs(source: Path) -> None:
    """OpenAI's CLIP files are TorchScript: loading one runs it."""
    if not zipfile.is_zipfile(source):
        return
    with zipfile.ZipFile(source) as archive:
        names = archive.namelist()
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise WeightsError(
            f"{source} is a TorchScript archive, a program that loading would run; OpenAI's CLIPs "
            "are published as safetensors too: orchestrator models pull clip-vit-b32"
        )


def _end(error: Exception, said: str) -> None:
    code = error.exit_code if isinstance(error, GlasshouseError) else WeightsError.exit_code
    print(" ".join(said.split()), file=sys.stderr)  # noqa: T201 # to the parent
    sys.exit(code)


if __name__ == "__main__":
    main()
