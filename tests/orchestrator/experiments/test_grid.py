"""An experiment's file: every combination once, and nothing that is not understood."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.experiments.grid import bundled, find, read_experiment
from orchestrator.run import plan_of
from protocol.errors import BadRequestError, ConfigError

PLAIN = """
about = "a test"
show = ["comparison"]
compare = "algorithm"
random = 0
[settings]
population = 8
[grid]
prompt = ["a red car", "a blue car"]
algorithm = ["ga", "de"]
seeds = 3
[scale.tiny]
settings.generations = 2
grid.seeds = 1
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "test.toml"
    path.write_text(text)
    return path


def test_every_combination_is_a_run_with_the_settings_of_its_levels(tmp_path: Path) -> None:
    cells = read_experiment(write(tmp_path, PLAIN)).cells
    assert [tuple(cell.factors.values()) for cell in cells[:4]] == [
        ("a red car", "ga", "0"),
        ("a red car", "ga", "1"),
        ("a red car", "ga", "2"),
        ("a red car", "de", "0"),
    ]
    assert len(cells) == 12
    for cell in cells:
        told = (cell.settings.prompt, cell.settings.algorithm, str(cell.settings.seed))
        assert told == tuple(cell.factors.values())
        assert cell.settings.population == 8


LEVELS = st.lists(st.text("abcxyz", min_size=1, max_size=5), min_size=1, max_size=4, unique=True)


@given(prompts=LEVELS, templates=LEVELS, seeds=st.integers(1, 5))
def test_a_grid_has_as_many_runs_as_its_axes_multiply_to_each_with_a_name_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, prompts: list[str], templates: list[str], seeds: int
) -> None:
    named = ", ".join(f'{{name = "{one}", template = "{one} {{}}"}}' for one in templates)
    text = f'about = ""\nshow = []\nrandom = 0\n[grid]\nprompt = {prompts}\n'
    text += f"looks = [{named}]\nseeds = {seeds}\n"
    path = write(tmp_path_factory.mktemp("grid"), text)
    cells = read_experiment(path).cells
    assert len(cells) == math.prod([len(prompts), len(templates), seeds])
    assert len({cell.name for cell in cells}) == len(cells)
    assert len({tuple(cell.factors.values()) for cell in cells}) == len(cells)
    assert cells == read_experiment(path).cells, "a plan made twice finds its runs again"


def test_a_list_within_a_level_is_varied_there_alone(tmp_path: Path) -> None:
    text = PLAIN.replace('prompt = ["a red car", "a blue car"]\n', "")
    text = text.replace(
        "[scale.tiny]",
        '[[grid.domain]]\nname = "car"\nprompt = ["a red car", "a blue car"]\n'
        '[[grid.domain]]\nname = "face"\ngenerator = "mini-face"\nprompt = "a boy"\n[scale.tiny]',
    )
    cells = read_experiment(write(tmp_path, text)).cells
    assert len(cells) == 3 * 2 * 3
    assert {(one.settings.generator, one.settings.prompt) for one in cells} == {
        ("mini-car", "a red car"),
        ("mini-car", "a blue car"),
        ("mini-face", "a boy"),
    }


def test_a_scale_and_options_change_what_they_name_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path, PLAIN)
    tiny = read_experiment(path, "tiny").cells
    assert len(tiny) == 4
    assert {cell.settings.generations for cell in tiny} == {2}
    assert {cell.settings.population for cell in tiny} == {8}
    changed = read_experiment(path, "tiny", {"seeds": 2, "population": 4}).cells
    assert len(changed) == 8
    assert {cell.settings.population for cell in changed} == {4}
    more = {cell.name for cell in read_experiment(path, "tiny", {"seeds": 2}).cells}
    assert {cell.name for cell in tiny} < more, "further seeds leave the runs of before alone"


def test_each_target_gets_random_genomes_to_compare_with(tmp_path: Path) -> None:
    text = PLAIN.replace("random = 0", "random = 128")
    cells = read_experiment(write(tmp_path, text)).cells
    references = [cell for cell in cells if cell.reference]
    assert [cell.settings.prompt for cell in references] == ["a red car", "a blue car"]
    for cell in references:
        assert cell.settings.algorithm == "random"
        assert cell.settings.population * cell.settings.generations == 128
    targets = {cell.target for cell in references}
    assert {cell.target for cell in cells} == targets


def test_random_genomes_of_a_search_with_several_objectives_can_be_run(tmp_path: Path) -> None:
    text = PLAIN.replace("random = 0", "random = 16")
    text = text.replace("population = 8", 'population = 8\ndiversity = true\nscorer = "ipc:///x"')
    cells = read_experiment(write(tmp_path, text.replace('"ga", "de"', '"nsga2"'))).cells
    references = [cell for cell in cells if cell.reference]
    assert len(references) == 2
    for cell in references:
        plan_of(cell.settings)
        assert cell.settings.scorer == "none"


@pytest.mark.parametrize(
    "levels", ['algorithm = ["ga", "de"]\npopulation = [8, 16]',
               'algorithm = ["ga", {name = "small", population = 4}]']
)  # fmt: skip
def test_what_is_varied_cannot_be_changed_for_every_run(tmp_path: Path, levels: str) -> None:
    path = write(tmp_path, PLAIN.replace('algorithm = ["ga", "de"]', levels))
    with pytest.raises(ConfigError, match=r"population cannot be changed: the level '(8|small)'"):
        read_experiment(path, changes={"population": 32})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("population = 8", "populaton = 8", "settings has no 'populaton'; did you mean 'popul"),
        ("about =", "abuot =", "no 'abuot'; did you mean 'about'"),
        ('"comparison"', '"comparsion"', "a view has no 'comparsion'; did you mean 'comparison'"),
        ("algorithm = [", "algoritm = [", "the grid has no 'algoritm'; did you mean 'algorithm'"),
        ('compare = "algorithm"', 'compare = "x"', "compare names 'x', but the axes"),
        ("population = 8", 'population = "8"', "Expected `int`, got `str`"),
        ("seeds = 3", "seeds = 0", "seeds is how many"),
        ("seeds = 3", "seeds = 99999", "more than 100,000 cells"),
        ('algorithm = ["ga", "de"]', 'algorithm = "ga"', "wants a list of levels"),
        ('algorithm = ["ga", "de"]', 'algorithm = ["ga", "ga"]', "two cells .* are the same run"),
        ('algorithm = ["ga", "de"]', "algorithm = [{population = 4}]", "has no name"),
        (
            'algorithm = ["ga", "de"]',
            'algorithm = [{name = "a", popul = 4}]',
            "the level 'a' of algorithm has no 'popul'; did you mean 'population'",
        ),
        ("[grid]", "[grid", "is no TOML"),
        ("random = 0", 'random = "many"', "is no experiment"),
        ("population = 8", 'parameters = ["f=0.5"]', "parameters is a table"),
        ("population = 8", "caption = 3", "caption the path of a picture"),
        (
            "[scale.tiny]\nsettings.generations = 2\ngrid.",
            "[scale]\ntiny = 3 #",
            "is a table",
        ),
        ("random = 0", 'classifier = {gan = "c"}', "the grid has no 'gan'; did you mean 'ga'"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_was_meant(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = write(tmp_path, PLAIN.replace(old, new, 1))
    with pytest.raises(ConfigError, match=said):
        read_experiment(path)


def test_what_is_not_there_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="did you mean 'ga-against-de'"):
        find("ga-agianst-de")
    with pytest.raises(ConfigError, match="--scale is one of full, tiny, not 'huge'"):
        read_experiment(write(tmp_path, PLAIN), "huge")


@pytest.mark.parametrize("name", sorted(bundled()))
def test_every_file_that_comes_along_can_be_laid_out_at_every_scale(name: str) -> None:
    path = bundled()[name]
    assert len(read_experiment(path).cells) > len(read_experiment(path, "tiny").cells)
    assert len(read_experiment(path, "paper").cells) > 1
