"""Keys are private to their user, and nothing else than a key is taken for one."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.commands.keys import app
from protocol import keys
from protocol.client import Client
from protocol.errors import BadRequestError, ConfigError

KEY, OTHER = "ab" * 32, "cd" * 32


def said(*arguments: str) -> str:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False).stdout


def test_new_allow_trust_and_list(keys_folder: Path) -> None:
    public = said("new").strip()
    assert re.fullmatch("[0-9a-f]{64}", public)
    said("allow", KEY, "alice")
    said("allow", OTHER, "bob")
    said("allow", KEY, "alice@laptop")
    said("trust", "tcp://10.0.0.5:7000", OTHER)
    assert said("list").splitlines() == [
        f"yours    {public}",
        f"allowed  {OTHER}  bob",
        f"allowed  {KEY}  alice@laptop",
        f"trusted  {OTHER}  tcp://10.0.0.5:7000",
    ]
    assert {path.name for path in keys_folder.iterdir()} == {"identity", "allowed", "servers"}
    assert {path.stat().st_mode & 0o777 for path in keys_folder.iterdir()} == {0o600}
    assert keys_folder.stat().st_mode & 0o777 == 0o700
    assert "secret" not in repr(keys.identity())


@pytest.mark.usefixtures("keys_folder")
def test_a_key_is_not_replaced_by_accident() -> None:
    first = keys.new_identity()
    with pytest.raises(BadRequestError, match="--replace"):
        keys.new_identity()
    assert keys.identity() == first
    assert keys.new_identity(replace=True) != first


@pytest.mark.usefixtures("keys_folder")
@pytest.mark.parametrize("key", ["", "ab", KEY.upper(), KEY + "\n", "../../etc/passwd", "g" * 64])
def test_what_is_no_key_is_refused(key: str) -> None:
    for wrong in (lambda: keys.allow(key, "alice"), lambda: keys.trust("tcp://h:1", key)):
        with pytest.raises(BadRequestError, match="64 hex digits"):
            wrong()
    with pytest.raises(BadRequestError, match="no name"):
        keys.allow(KEY, "alice\nmallory")
    assert keys.allowed() == {}


def test_keys_that_others_can_read_are_refused(keys_folder: Path) -> None:
    keys.new_identity()
    (keys_folder / "identity").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        keys.identity()
    keys_folder.chmod(0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        keys.allowed()


def test_a_damaged_identity_is_named(keys_folder: Path) -> None:
    with pytest.raises(ConfigError, match="orchestrator keys new"):
        keys.identity()
    keys.new_identity()
    (keys_folder / "identity").write_text("half\n")
    with pytest.raises(ConfigError, match="damaged"):
        keys.identity()


@pytest.mark.usefixtures("keys_folder")
def test_another_machine_without_a_key_is_not_spoken_to() -> None:
    with Client("test") as client, pytest.raises(ConfigError, match="its key is not known"):
        client.connect("tcp://192.0.2.1:7000", "clip")
    keys.trust("tcp://192.0.2.1:7000", KEY)
    with Client("test") as client, pytest.raises(ConfigError, match="orchestrator keys new"):
        client.connect("tcp://192.0.2.1:7000", "clip")
