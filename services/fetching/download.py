"""One file from an address: resumed, verified, whole or not there.

What has come lies in a `.part` file, named after the server's own mark of the file's version, so
that a resumed download never joins two versions. A cut connection is taken up again a few times,
and by the next `pull` after that. Only a file of the right length and digest gets its name.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import httpx2
from tqdm import tqdm

from protocol.errors import GlasshouseError, StorageError, WeightsError

ATTEMPTS: Final = 5
PAUSE_S: Final = 0.5
TIMEOUT: Final = httpx2.Timeout(20.0, read=60.0)
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True)
class Address:
    """A file to fetch.

    Attributes:
        url: where it is; its last part is the file's name.
        sha256: 64 hex digits, or as many of the first as were published.
        size_bytes: its length, or 0 where that is not known.
    """

    url: str
    sha256: str = ""
    size_bytes: int = 0

    @property
    def name(self) -> str:
        """Of the file."""
        return self.url.rsplit("/", 1)[-1]


def download(address: Address, folder: Path) -> Path:
    """The file in `folder`; one that is there and has the right digest is not fetched again.

    Raises:
        WeightsError: it cannot be had, or is not what it should be; says what to do.
        StorageError: the disk is full, or the folder cannot be written.
    """
    path = folder / address.name
    with _storage(path):
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file() and address.sha256 and sha256_of(path).startswith(address.sha256):
            return path
        part = _complete(address, folder)
        check(part, address.name, address.sha256)
        part.replace(path)
    return path


def check(path: Path, name: str, sha256: str) -> None:
    """Compare a file with what was published of its digest, and remove it if it is another.

    Raises:
        WeightsError: it is another file than the one that was published.
    """
    if sha256 and not (found := sha256_of(path)).startswith(sha256):
        path.unlink()
        raise WeightsError(
            f"{name} came with the SHA-256 {found[:12]}…, but {sha256[:12]}… was published: it was "
            "damaged on the way or is another file, and was removed; fetch it again"
        )


def sha256_of(path: Path) -> str:
    """64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complete(address: Address, folder: Path) -> Path:
    """The `.part` file, of full length; takes a cut connection up again."""
    attempt = 1
    while True:
        try:
            return _fetch(address, folder)
        except httpx2.TransportError as error:
            if attempt == ATTEMPTS:
                raise _unreachable(address, error) from error
            time.sleep(PAUSE_S * attempt)
            attempt += 1


def _fetch(address: Address, folder: Path) -> Path:
    with httpx2.Client(timeout=TIMEOUT, follow_redirects=True) as client:
        with client.stream("GET", address.url) as answer:
            part, total = _begun(address, folder, answer)
            have = part.stat().st_size if part.exists() else 0
            if have == 0:
                return _receive(answer, part, 0, total)
        if have == total:
            return part
        rest = {"Range": f"bytes={have}-", "If-Range": answer.headers.get("ETag", "")}
        with client.stream("GET", address.url, headers=rest) as answer:
            _refuse(address, answer)
            found = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            resumed = answer.status_code == 206 and found is not None and int(found[1]) == have
            return _receive(answer, part, have if resumed else 0, total)


def _begun(address: Address, folder: Path, answer: httpx2.Response) -> tuple[Path, int]:
    """Where this version of the file goes, and how long it will be."""
    _refuse(address, answer)
    total = int(answer.headers.get("Content-Length", address.size_bytes))
    if address.size_bytes and total != address.size_bytes:
        raise WeightsError(
            f"{address.url} has {total:,} bytes, but {address.size_bytes:,} were published: it is "
            "another file; find the right one, then: orchestrator models add NAME --file PATH"
        )
    version = answer.headers.get("ETag", "") if address.sha256 == "" else address.sha256
    mark = hashlib.sha256(version.encode()).hexdigest()[:8]
    part = folder / f"{address.name}.{mark}.part"
    if not version or (part.exists() and part.stat().st_size > total):
        part.unlink(missing_ok=True)  # whether it is of the same version cannot be known
    return part, total


def _receive(answer: httpx2.Response, part: Path, have: int, total: int) -> Path:
    with part.open("ab" if have else "wb") as file, _bar(part, have, total) as bar:
        _write(answer, file, bar)
    if total and part.stat().st_size < total:
        raise httpx2.ReadError("the connection ended before the file did")
    return part


def _write(answer: httpx2.Response, file: BinaryIO, bar: "tqdm[None]") -> None:
    for chunk in answer.iter_raw():
        file.write(chunk)
        bar.update(len(chunk))


def _bar(part: Path, have: int, total: int) -> "tqdm[None]":
    name = part.name.rsplit(".", 2)[0]
    return tqdm(desc=name, initial=have, total=total, unit="B", unit_scale=True, disable=None)


def _refuse(address: Address, answer: httpx2.Response) -> None:
    status = answer.status_code
    if status in {200, 206}:
        return
    if status in {401, 403}:
        raise WeightsError(
            f"{address.url} is not open to everybody ({status}); fetch {address.name} as its owner "
            "asks you to, then: orchestrator models add NAME --file PATH"
        )
    if status in {404, 410}:
        raise WeightsError(
            f"there is no file at {address.url} any more ({status}); find {address.name} "
            "elsewhere, then: orchestrator models add NAME --file PATH"
        )
    raise WeightsError(f"{address.url} answered {status}; try again later")


def _unreachable(address: Address, error: Exception) -> WeightsError:
    said = str(error) or type(error).__name__
    return WeightsError(
        f"{address.name} could not be fetched from {address.url}: {said}; what has come is kept, "
        "so run the same command again when there is a network"
    )


@contextmanager
def _storage(path: Path) -> Iterator[None]:
    """What the disk refuses becomes one sentence, and no part of a file is left on a full one."""
    try:
        yield
    except (GlasshouseError, httpx2.HTTPError):
        raise
    except OSError as error:
        for part in path.parent.glob(f"{path.name}.*.part"):
            part.unlink(missing_ok=True)
        raise StorageError(
            f"{path.name} cannot be kept in {path.parent}: {error.strerror or error}; make room, "
            "or choose another place with GLASSHOUSE_MODELS"
        ) from error
