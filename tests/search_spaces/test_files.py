import json

import pytest

import search_spaces
from search_spaces import (
    FileFormatError,
    UnknownFileError,
    available,
    describe_portfolio,
    load_portfolio,
    load_ranges,
    portfolio_path,
    prior_path,
    with_edits,
)


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_available_lists_what_comes_with_the_package():
    assert available() == {
        "ranges": ["default", "lcbench", "paper"],
        "portfolios": ["by_hand", "default", "lcbench", "paper"],
        "priors": ["lcbench"],
    }


@pytest.mark.parametrize("name", ["default", "lcbench", "paper"])
def test_ranges_files_name_and_describe_themselves(name):
    ranges = load_ranges(name)
    assert ranges["name"] == name
    assert len(ranges["description"]) > 40


@pytest.mark.parametrize("name", ["by_hand", "default", "lcbench", "paper"])
def test_portfolios_say_where_they_come_from(name):
    portfolio = describe_portfolio(name)
    assert portfolio["name"] == name
    assert portfolio["space"] in available()["ranges"]
    assert all(portfolio[key] for key in ("description", "source", "license"))
    assert name == "lcbench" or load_portfolio(name) == portfolio["configurations"]


def test_names_of_another_space_are_translated(tmp_path):
    portfolio = {
        "format": 1,
        "translation": {"names": {"rate": "optimizer:sgd:learning_rate"}, "fixed": {"optimizer:__choice__": "sgd"}},
        "configurations": [{"rate": 0.1}, {"rate": 0.2}],
    }
    assert load_portfolio(write(tmp_path / "p.json", portfolio)) == [
        {"optimizer:__choice__": "sgd", "optimizer:sgd:learning_rate": rate} for rate in (0.1, 0.2)
    ]


def test_paths_of_shipped_files():
    assert portfolio_path("lcbench").read_text().startswith("{")
    assert prior_path("lcbench").read_bytes().startswith(b"PK")
    with pytest.raises(UnknownFileError, match="did you mean 'lcbench'"):
        prior_path("lcbensh")
    with pytest.raises(UnknownFileError, match=r"known: lcbench\.$"):  # used to advise a path, which it does not take
        prior_path("xyz")


def test_paths_are_read(tmp_path):
    ranges = {"format": 1, "name": "mine", "edits": {"a:b:c": 1}}
    assert load_ranges(write(tmp_path / "mine.json", ranges)) == ranges
    portfolio = {"format": 1, "configurations": [{"a:b:c": 1}]}
    assert load_portfolio(str(write(tmp_path / "portfolio.json", portfolio))) == [{"a:b:c": 1}]


def test_unknown_names_offer_the_closest():
    with pytest.raises(UnknownFileError, match="did you mean 'default'"):
        load_ranges("defualt")
    with pytest.raises(UnknownFileError, match=r"known: by_hand, default, lcbench, paper; a path ends in \.json"):
        load_portfolio("xyz")


def test_missing_path_is_named(tmp_path):
    with pytest.raises(UnknownFileError, match="nothing"):
        load_ranges(tmp_path / "nothing.json")


@pytest.mark.parametrize("content", ["{", [], {"format": 2, "edits": {}}, {"format": 1}, {"format": 1, "edits": []}])
def test_files_of_another_form_are_refused(tmp_path, content):
    with pytest.raises(FileFormatError, match="bad"):
        load_ranges(write(tmp_path / "bad.json", content))


def test_portfolio_is_no_ranges_file(tmp_path):
    path = write(tmp_path / "portfolio.json", {"format": 1, "configurations": []})
    with pytest.raises(FileFormatError, match="'edits'"):
        load_ranges(path)


def test_extending_a_file_puts_its_own_edits_on_top(tmp_path):
    edits = {"backbone:shaped_mlp:num_layers": {"high": 8}, "backbone:shaped_mlp:activation": "tanh"}
    path = write(tmp_path / "mine.json", {"format": 1, "name": "mine", "extends": "default", "edits": edits})
    ranges = load_ranges(path)
    assert ranges["name"] == "mine"
    assert "extends" not in ranges
    assert ranges["edits"]["backbone:shaped_mlp:num_layers"] == {"low": 2, "high": 8, "default": 3}
    assert ranges["edits"]["backbone:shaped_mlp:activation"] == "tanh"
    assert ranges["edits"]["batching:minibatch:batch_size"]["high"] == 512


def test_with_edits_leaves_the_original_alone():
    ranges = {"format": 1, "edits": {"a": {"low": 1}, "b": [1, 2]}}
    changed = with_edits(ranges, {"a": {"high": 3}, "b": 2, "c": 0})
    assert changed["edits"] == {"a": {"low": 1, "high": 3}, "b": 2, "c": 0}
    assert ranges["edits"] == {"a": {"low": 1}, "b": [1, 2]}


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ({"exclude": ["z", "x"]}, {"exclude": ["x", "y", "z"], "default": "p"}),
        ({"default": "q"}, {"exclude": ["x", "y"], "default": "q"}),
        ({"choices": ["x"]}, {"choices": ["x"]}),
        (["x"], ["x"]),
    ],
)
def test_exclusions_add_up_and_lists_replace(later, expected):
    ranges = {"format": 1, "edits": {"a": {"exclude": ["x", "y"], "default": "p"}}}
    assert with_edits(ranges, {"a": later})["edits"]["a"] == expected


def test_files_are_found_as_package_resources():
    """A wheel has no repository around it: the loader may only look inside the package."""
    folder = search_spaces.resources.files("search_spaces")
    assert folder.joinpath("portfolios", "paper.json").is_file()
