"""Settings out of files: by name, in range, and as flags would have them."""

import json

import pytest

from jaxbackprop._errors import CannotRun
from jaxbackprop.train import Config, read_settings


def written(folder, text, name="settings.toml"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def of_run(folder, **settings):
    record = {"settings": Config(**settings).to_dict()}
    return written(folder, json.dumps(record), "config.json")


def test_toml_holds_settings_by_their_names(tmp_path):
    text = '# mine\nbatch_size = 64\nlr = 1\ntune_vectors = false\noptimizer = "sgd"\n'
    found = read_settings(written(tmp_path, text))
    assert found == {"batch_size": 64, "lr": 1.0, "tune_vectors": False, "optimizer": "sgd"}
    assert isinstance(found["lr"], float)
    assert read_settings(written(tmp_path, b"\xef\xbb\xbfhidden = 7\r\nepochs = 2\r\n")) == {
        "hidden": 7,
        "epochs": 2,
    }
    assert read_settings(written(tmp_path, "")) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hiden = 3", "settings.toml: unknown setting hiden; did you mean hidden?"),
        ("batch-size = 3", "settings.toml: unknown setting batch-size; did you mean batch_size?"),
        ("[network]\nhidden = 3", "settings.toml: unknown setting network$"),
        ("hidden = '3'", "settings.toml: hidden must be int, not '3'"),
        ("hidden = 3.0", "settings.toml: hidden must be int, not 3.0"),
        ("hidden = true", "settings.toml: hidden must be int, not True"),
        ("[optimizer]\nlr = 1", "settings.toml: optimizer must be str, not {'lr': 1}"),
        ("lr = nan", "settings.toml: lr must be finite, not nan"),
        ("epochs = 0", "settings.toml: epochs must be at least 1, not 0"),
        ("optimizer = 'lion'", "settings.toml: optimizer must be one of sgd, .*, not 'lion'"),
        ("hidden = 3\nlr = \n", r"settings.toml: .*\(at line 2, column 6\)"),
        ("hidden = 3\nhidden = 3\n", r"settings.toml: .*line 2"),
        (b"vectors = '\xff'", "settings.toml is not UTF-8"),
        ("lr = " + "[" * 100_000, "settings.toml: "),
        ("hidden = " + "9" * 5000, "settings.toml: "),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_is_wrong_is_said_with_the_file_and_the_setting(tmp_path, text, message):
    with pytest.raises(CannotRun, match=message):
        read_settings(written(tmp_path, text))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(CannotRun, match="cannot read .*nothing.toml: No such file"):
        read_settings(tmp_path / "nothing.toml")
    with pytest.raises(CannotRun, match="cannot read .*config.json: No such file"):
        read_settings(tmp_path)
    with pytest.raises(CannotRun, match="other.json is of no run: it holds no settings"):
        read_settings(written(tmp_path, "{}", "other.json"))
    with pytest.raises(CannotRun, match="config.json: unknown setting depth"):
        read_settings(written(tmp_path, '{"settings": {"depth": 3}}', "config.json"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lr": 0.4, "hidden": 7},
        {"optimizer": "sgd", "base_lr": 0.01},
        {"train": "a", "dev": "b", "task": "tags"},
    ],
)
def test_a_run_gives_its_settings_again(tmp_path, settings):
    file = of_run(tmp_path, **settings)
    assert Config(**read_settings(file)) == Config(**read_settings(tmp_path)) == Config(**settings)


def test_what_follows_from_other_settings_of_a_run_follows_from_the_flags_instead(tmp_path):
    of_run(tmp_path, train="a", dev="b")
    found = read_settings(tmp_path)
    assert Config(**found | {"optimizer": "sgd"}) == Config(train="a", dev="b", optimizer="sgd")
    assert Config(**found | {"lr": 0.1}).base_lr == pytest.approx(0.005)
    assert Config(**found | {"task": "tags"}).decode == "greedy"
    # What was said stays.
    of_run(tmp_path, train="a", dev="b", lr=0.01)
    assert Config(**read_settings(tmp_path) | {"optimizer": "sgd"}).lr == 0.01
