"""A model's name with options: one spelling of it everywhere, and mistakes said in a sentence."""

from pathlib import Path

import pytest

from protocol.errors import BadRequestError
from protocol.naming import (
    did_you_mean,
    join_model,
    model_key,
    split_model,
    weights_path,
    with_options,
)


def test_a_name_and_its_options_part_and_join() -> None:
    assert split_model("mini-car") == ("mini-car", {})
    name, options = split_model("mini-car,precision=bf16, noise=none")
    assert (name, options) == ("mini-car", {"precision": "bf16", "noise": "none"})
    assert join_model(name, options) == "mini-car,noise=none,precision=bf16"
    assert split_model("ViT-B-32:openai,augment=4") == ("ViT-B-32:openai", {"augment": "4"})


def test_a_path_may_hold_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = "a,b=c/my.safetensors"
    assert split_model(named) == (named, {})
    assert weights_path(f"{named},noise=none") == Path(named)
    assert model_key(f"{named},noise=none") == f"{tmp_path}/{named},noise=none"


def test_a_folder_is_a_path_where_it_holds_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vit").mkdir()
    assert (weights_path("vit"), model_key("vit")) == (None, "vit")
    (tmp_path / "vit" / "config.json").touch()
    assert (weights_path("vit"), model_key("vit")) == (Path("vit"), str(tmp_path / "vit"))


def test_the_order_of_options_does_not_matter() -> None:
    assert model_key("mini-car,b=2,a=1") == model_key("mini-car,a=1,b=2")
    assert model_key("mini-car,a=1") != model_key("mini-car")


def test_endpoints_are_left_as_they_are() -> None:
    both = "tcp://127.0.0.1:1,tcp://127.0.0.1:2"
    assert model_key(both) == both
    assert weights_path("tcp://host/a.safetensors") is None
    with pytest.raises(BadRequestError, match="leave --precision out"):
        with_options(both, {"precision": "bf16"})
    assert with_options(both, {}) == both


@pytest.mark.parametrize("named", ["mini-car,", "mini-car,noise", "mini-car,=none", "a,b="])
def test_options_that_cannot_be_read_are_refused(named: str) -> None:
    with pytest.raises(BadRequestError, match="write NAME,OPTION=VALUE"):
        split_model(named)


def test_what_is_said_twice_is_refused() -> None:
    with pytest.raises(BadRequestError, match="says noise twice"):
        split_model("mini-car,noise=none,noise=const")
    with pytest.raises(BadRequestError, match="leave --precision out"):
        with_options("mini-car,precision=fp16", {"precision": "bf16"})


def test_a_name_that_no_file_can_have_is_refused() -> None:
    for named in ("a" * 5000, "a" * 5000 + ".safetensors"):
        with pytest.raises(BadRequestError, match=r"'a{40}…' names no model: File name too long"):
            weights_path(named)


def test_refusals_name_what_is_nearest() -> None:
    assert did_you_mean("mini-cat", ["mini-car", "gpt2"]) == "; did you mean 'mini-car'?"
    assert did_you_mean("mini-cat", []) == ""
