"""Addresses: a file comes whole and verified, or not at all, however badly the server behaves."""

import hashlib
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import StorageError, WeightsError
from services.fetching import download as module
from services.fetching.download import Address, download
from tests.services.fetching.conftest import Site

CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)


def address(site: Site, content: bytes = CONTENT, *, digest: bool = True) -> Address:
    site.files["/a.pkl"] = content
    sha256 = hashlib.sha256(content).hexdigest() if digest else ""
    return Address(f"{site.address}/a.pkl", sha256, len(content) if digest else 0)


def test_a_file_comes_whole_and_is_not_fetched_twice(site: Site, tmp_path: Path) -> None:
    wanted = address(site)
    assert download(wanted, tmp_path).read_bytes() == CONTENT
    before = len(site.asked)
    download(wanted, tmp_path)
    assert len(site.asked) == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.pkl"]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.integers(0, 4), after=st.integers(0, 3000), digest=st.booleans(), ranges=st.booleans()
)
def test_cut_connections_are_taken_up_again(
    site: Site,
    tmp_path_factory: pytest.TempPathFactory,
    cuts: int,
    after: int,
    digest: bool,
    ranges: bool,
) -> None:
    folder = tmp_path_factory.mktemp("downloads")
    site.cuts, site.cut_after, site.ranges = cuts, after, ranges
    assert download(address(site, digest=digest), folder).read_bytes() == CONTENT


def test_the_next_call_goes_on_where_this_one_was_cut(site: Site, tmp_path: Path) -> None:
    wanted = address(site)
    site.cuts, site.cut_after = module.ATTEMPTS * 2, 1000
    with pytest.raises(WeightsError, match="run the same command again"):
        download(wanted, tmp_path)
    assert not (tmp_path / "a.pkl").exists()
    kept = next(tmp_path.glob("*.part")).stat().st_size
    assert kept >= 1000
    site.cuts = 0
    site.asked.clear()
    assert download(wanted, tmp_path).read_bytes() == CONTENT
    assert site.asked[-1] == f"GET /a.pkl bytes={kept}-"


def test_halves_of_two_versions_are_never_joined(site: Site, tmp_path: Path) -> None:
    site.cuts, site.cut_after = module.ATTEMPTS * 2, 1000
    with pytest.raises(WeightsError):
        download(address(site, digest=False), tmp_path)
    site.cuts, site.version = 0, "2"
    other = bytes(reversed(CONTENT))
    assert download(address(site, other, digest=False), tmp_path).read_bytes() == other


def test_another_file_than_the_published_one_is_refused(site: Site, tmp_path: Path) -> None:
    wanted = address(site)
    site.files["/a.pkl"] = bytes(reversed(CONTENT))
    with pytest.raises(WeightsError, match="SHA-256"):
        download(wanted, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_size_is_refused_before_it_is_fetched(site: Site, tmp_path: Path) -> None:
    wanted = address(site)
    site.files["/a.pkl"] = CONTENT * 2
    with pytest.raises(WeightsError, match="20,480 bytes, but 10,240"):
        download(wanted, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "no file at"), (401, "not open to everybody"), (403, "models add"), (500, "later")],
)
def test_refusals_say_what_to_do(site: Site, tmp_path: Path, status: int, said: str) -> None:
    site.status["/a.pkl"] = (status, "")
    with pytest.raises(WeightsError, match=said):
        download(address(site), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere:9/a\.pkl.*when there is a network"):
        download(Address("http://127.0.0.1:1/nowhere:9/a.pkl"), tmp_path)


@contextmanager
def small_disk(most: int) -> Iterator[None]:
    """Files may not grow beyond `most` bytes, which a write sees as it sees a full disk."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with small_disk(4096), pytest.raises(StorageError, match="GLASSHOUSE_MODELS"):
        download(address(site), tmp_path)
    assert list(tmp_path.iterdir()) == []
