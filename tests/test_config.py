import inspect

import numpy as np
import pytest

from asapnb import train
from asapnb.config import check_keys, keys, load_config, merge, parse_setting, prepare, run_config
from asapnb.errors import UsageError

SMALL = {"problem": "mlp(hidden=[8])", "workers": 2, "updates": 20, "batch_size": 50, "step_size": 0.1}


def test_the_keys_are_the_arguments_of_train_that_are_data():
    arguments = set(inspect.signature(train).parameters) - {"out", "force", "on_eval", "progress", "comm"}
    assert set(keys()) == arguments | {"data"}
    assert keys()["momentum_kind"].choices == ("per_worker", "shared", "ordered")
    assert keys()["scheme"].kinds == keys()["rule"].kinds == (str,)
    assert all(key.kinds for key in keys().values())


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"wokers": 8}, r"unknown key 'wokers'; available: .*Did you mean 'workers'\?"),
        ({"batch_size": "many"}, "batch_size = 'many': must be an integer"),
        ({"workers": 2.5}, "workers = 2.5: must be an integer or a text"),
        ({"workers": True}, "workers = True: must be an integer"),
        ({"step_size": "big"}, "step_size = 'big': must be a number"),
        ({"step_size": "none"}, "step_size = 'none': must be a number"),
        ({"reshuffle": 1}, "reshuffle = 1: must be true or false"),
        ({"rule": 1}, "rule = 1: must be a text"),
        ({"momentum_kind": "share"}, "unknown value of momentum_kind 'share'.*Did you mean 'shared'"),
    ],
)
def test_keys_are_checked(config, says):
    with pytest.raises(UsageError, match=says):
        check_keys(config)


def test_values_are_kept_as_they_are():
    config = {"step_size": 1, "eval_samples": None, "target_loss": "none", "reshuffle": False, "seed": np.int64(3)}
    assert check_keys(config) == {**config, "target_loss": None}
    assert type(check_keys(config)["seed"]) is int


def test_pairs_of_workers_are_their_text():
    assert check_keys({"workers": [[0, 2], [30, 4]]}) == {"workers": "0:2, 30:4"}
    assert check_keys(dict([parse_setting("workers=[(0, 2), (30, 4)]")])) == {"workers": "0:2, 30:4"}
    for wrong in ([], [[5, 3]], [[0, 2.5]], [0, 4], [[0, 2, 3]]):
        with pytest.raises(UsageError, match="workers is "):
            check_keys({"workers": wrong})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("workers=8", 8),
        ("step_size = 1e-3", 0.001),
        ("step_size=.5", 0.5),
        ("step_size=nan", pytest.approx(float("nan"), nan_ok=True)),
        ("reshuffle=false", False),
        ("reshuffle=False", False),
        ("scheme=leashed(persistence=1)", "leashed(persistence=1)"),
        ("rule='tail'", "tail"),
        ("data=fashion-mnist", "fashion-mnist"),
        ("data=1\nworkers = 2", "1\nworkers = 2"),
        ("data=", ""),
    ],
)
def test_settings_are_read_as_toml_or_text(text, value):
    assert parse_setting(text) == (text.partition("=")[0].strip(), value)


@pytest.mark.parametrize("text", ["workers", "=8", ""])
def test_a_setting_has_a_key_and_a_value(text):
    with pytest.raises(UsageError, match="write key=value"):
        parse_setting(text)


def test_the_later_configuration_goes_before():
    assert merge({}, {"seed": 1, "momentum": 0.5}, {"seed": 2}) == {"seed": 2, "momentum": 0.5}
    assert merge({"updates": 5}, {"epochs": 2}, {"seed": 1}) == {"epochs": 2, "seed": 1}
    assert merge({"epochs": 2, "updates": 5}) == {"epochs": 2, "updates": 5}, "for train to refuse"


def test_a_file_is_read(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('problem = "lenet"\nstep_size = 0.05 # eta\nhidden = 3\n')
    for content, says in (
        (b"workers = 8\nstep_size = = 3", r"run\.toml is no TOML: .*line 2"),
        (b"\xff\xfe", r"run\.toml: it is not in UTF-8"),
        (b"[train]\nworkers = 8", r"run\.toml: unknown key 'train'"),
        (b"batch_size = 'eight'", r"run\.toml: batch_size = 'eight': must be an integer"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=says):
            load_config(path)
    path.write_text('problem = "lenet"\nstep_size = 0.05 # eta\n')
    assert load_config(path) == {"problem": "lenet", "step_size": 0.05}
    for other, says in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError, match=f"cannot read the configuration .*: {says}"):
            load_config(other)


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        ("lenett", "unknown problem 'lenett'.*Did you mean 'lenet'"),
        ("mlp(hiden=[8])", "unknown parameter of mlp 'hiden'.*Did you mean 'hidden'"),
        ("mlp(data=3)", "unknown parameter of mlp 'data'"),
        ("network(['Dens(10)'])", "unknown layer 'Dens'.*Did you mean 'Dense'"),
    ],
)
def test_problems_are_named(problem, says):
    with pytest.raises(UsageError, match=says):
        prepare({"problem": problem})


@pytest.mark.parametrize(
    "problem",
    ["mlp(hidden=[8], init='normal(0.01)')", "network(['Dense(5)', 'ReLU', 'Dense(10)'])", "cnn"],
)
def test_a_run_file_is_a_configuration(tmp_path, problem):
    path = tmp_path / "run.h5"
    config = {**SMALL, "problem": problem, "scheme": "sequential", "workers": 1, "rule": "tail(0.5)", "momentum": 0.9}
    run = run_config(config, out=path)
    again = run_config(load_config(path))
    assert again.config == run.config
    np.testing.assert_array_equal(again.params["final"], run.params["final"])


def test_a_problem_of_one_s_own_is_built_in_python():
    with pytest.raises(UsageError, match=r"custom\(pull\), which .* build it in Python"):
        prepare({"problem": "custom(pull)"})
