"""Files from a hub repository, through huggingface_hub: it resumes, shows a bar and knows tokens.

What it does not do is compare what came with the digest that the hub publishes: that is done here.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx2
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from protocol.errors import StorageError, WeightsError
from services.fetching.download import check

SHA256 = re.compile(r"[0-9a-f]{64}")
METADATA_TIMEOUT_S: Final = 20.0
DISK: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS}


def fetch(repository: str, names: tuple[str, ...], folder: Path) -> Path:
    """The first of these files of OWNER/REPOSITORY, in `folder` with all others.

    Raises:
        WeightsError: no such repository or file, one that asks for a licence to be accepted, no
            network, or a file that is not what the hub says it is.
        StorageError: the disk is full, or the folder cannot be written.
    """
    with _said(repository, names, folder):
        for name in names:
            _fetch_one(repository, name, folder)
    return folder / names[0]


def fetch_first(repository: str, names: tuple[str, ...], folder: Path) -> Path:
    """The first of these files that OWNER/REPOSITORY has; raises as `fetch` does."""
    *better, last = names
    for name in better:
        with _said(repository, names, folder), suppress(EntryNotFoundError):
            return _fetch_one(repository, name, folder)
    return fetch(repository, (last,), folder)


def fetch_optional(repository: str, name: str, folder: Path) -> None:
    """Fetch a file that OWNER/REPOSITORY need not have; raises as `fetch` does, but for that."""
    with _said(repository, (name,), folder):
        try:
            _fetch_one(repository, name, folder)
        except LocalEntryNotFoundError:  # nothing answered; it counts as an EntryNotFoundError
            raise
        except EntryNotFoundError:
            pass


def _fetch_one(repository: str, name: str, folder: Path) -> Path:
    found = get_hf_file_metadata(hf_hub_url(repository, name), timeout=METADATA_TIMEOUT_S)
    path = Path(hf_hub_download(repository, name, local_dir=folder, revision=found.commit_hash))
    if found.etag and SHA256.fullmatch(found.etag):  # of small files it is a git hash
        check(path, name, found.etag)
    return path


@contextmanager
def _said(repository: str, names: tuple[str, ...], folder: Path) -> Iterator[None]:
    """huggingface_hub's errors as one sentence each."""
    where = f"{repository} on the hub"
    try:
        yield
    except GatedRepoError as error:
        raise WeightsError(
            f"{where} asks you to accept its licence first: do so on its page, then sign in with: "
            "hf auth login"
        ) from error
    except RepositoryNotFoundError as error:  # the hub says the same of private ones
        raise WeightsError(
            f"there is no repository {where} that you may read; if it is private, sign in with: "
            "hf auth login"
        ) from error
    except LocalEntryNotFoundError as error:  # how huggingface_hub says that nothing answered
        raise WeightsError(
            f"{where} cannot be reached; run the same command again when there is a network"
        ) from error
    except EntryNotFoundError as error:
        raise WeightsError(f"{where} lacks one of the files {', '.join(names)}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "nothing"
        raise WeightsError(f"{where} answered {status}; try again later") from error
    except (httpx2.HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise StorageError(
                f"{folder} cannot keep {where}: {error.strerror}; make room, or choose another "
                "place with GLASSHOUSE_MODELS"
            ) from error
        raise WeightsError(
            f"{where} cannot be reached ({error}); run the same command again when there is a "
            "network"
        ) from error
