"""Settings: defaults hold, each bound is kept and named by its flag, JSON goes there and back."""

import json
import math
from dataclasses import FrozenInstanceError, fields

import pytest

from jaxbackprop.train import Config, flag, for_finetuning


def test_defaults_are_within_their_own_bounds_and_survive_json():
    config = Config()
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_depends_on_another_setting_is_filled_in():
    assert Config(optimizer="sgd").lr > Config(optimizer="adam").lr
    assert Config(lr=0.4).base_lr == pytest.approx(0.02)
    assert Config(lr=0.4, base_lr=0.1).base_lr == 0.1
    assert [Config(optimizer=name).weight_decay for name in ("adam", "adamw")] == [0.0, 0.01]
    assert [Config(schedule=name).min_lr for name in ("cosine", "plateau")] == [0.0, 1e-5]
    assert Config(schedule="plateau", lr=1e-6).min_lr == 1e-6
    assert (Config().decode, Config(train="a", dev="a", task="tags").decode) == ("valid", "greedy")


def test_a_tagger_on_a_pretrained_model_wants_more_than_a_classifier_on_one():
    tagger = Config(model="bert")
    assert (tagger.lr, tagger.batch_size, tagger.epochs, tagger.warmup_epochs) == (5e-4, 16, 6, 0.3)
    assert Config(model="bert", optimizer="sgd").lr == 0.2
    said = for_finetuning({"epochs": 2, "lr": None, "patience": None})
    classifier = Config(model="bert", **said)
    assert (classifier.lr, classifier.batch_size, classifier.epochs) == (2e-4, 32, 2)
    assert classifier.warmup_epochs == 0.2
    assert Config(model="bert", **for_finetuning({"optimizer": "sgd"})).lr == 0.2


def test_the_schemes_are_those_of_the_reader():
    from jaxbackprop.data._notation import PREFIXES
    from jaxbackprop.train._config import SCHEMES

    assert tuple(PREFIXES) == SCHEMES


def test_a_configuration_does_not_change():
    with pytest.raises(FrozenInstanceError):
        Config().lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1.0}, "--lr must be above 0, not -1"),
        ({"lr": 0.0}, "--lr must be above 0"),
        ({"lr": math.nan}, "--lr must be finite, not nan"),
        ({"lr": math.inf}, "--lr must be finite, not inf"),
        ({"base_lr": 1.0, "lr": 0.5}, r"--base-lr must be at most --lr \(0.5\), not 1"),
        ({"dropout": 1.0}, "--dropout must be below 1, not 1"),
        ({"input_dropout": -0.1}, "--input-dropout must be at least 0, not -0.1"),
        ({"batch_size": 0}, "--batch-size must be at least 1, not 0"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"gamma": 1.5}, "--gamma must be at most 1, not 1.5"),
        ({"seed": 2**31}, "--seed must be at most 2147483647"),
        ({"lr": 10**400}, r"--lr must be at most 1e\+30, not an integer of 401 digits"),
        ({"optimizer": "lbfgs"}, "--optimizer must be one of sgd, momentum, .*, not 'lbfgs'"),
        ({"dtype": "float16"}, "--dtype must be one of float32, bfloat16, not 'float16'"),
        ({"cyclic_mode": "sine"}, "--cyclic-mode must be one of"),
        ({"vectors": ""}, "--vectors must be"),
        ({"init": "glorot"}, "--init must be one of xavier, he, uniform:R, zeros, not 'glorot'"),
        ({"init": "zeros:1"}, "--init must be one of .*, not 'zeros:1'"),
        ({"init": "uniform"}, "--init uniform:R needs a number R above 0, not ''"),
        ({"init": "uniform:R"}, "--init uniform:R needs a number R above 0, not 'R'"),
        ({"init": "uniform:-0.1"}, "--init uniform:R needs a number R above 0, not '-0.1'"),
        ({"init": "uniform:inf"}, "--init uniform:R needs a number R above 0, not 'inf'"),
        ({"init": "uniform:nan"}, "--init uniform:R needs a number R above 0, not 'nan'"),
        ({"min_lr": 0.2, "lr": 0.1}, r"--min-lr must be at most --lr \(0.1\), not 0.2"),
        ({"warmup_epochs": 16.0}, r"--warmup-epochs must be below --epochs \(16\), not 16"),
        ({"warmup_epochs": -1.0}, "--warmup-epochs must be at least 0, not -1"),
        ({"weight_decay": -0.1}, "--weight-decay must be at least 0, not -0.1"),
        ({"clip_norm": 0.0}, "--clip-norm must be above 0, not 0"),
        (
            {"base_momentum": 0.8},
            "--base-momentum needs --schedule cyclic and --optimizer momentum or nesterov",
        ),
        ({"base_momentum": 0.8, "optimizer": "nesterov", "schedule": "cosine"}, "--base-momentum needs"),
        (
            {"base_momentum": 0.95, "optimizer": "nesterov"},
            r"--base-momentum must be at most --momentum \(0.9\), not 0.95",
        ),
        ({"plateau_factor": 1.0}, "--plateau-factor must be below 1, not 1"),
        ({"plateau_min_delta": -1.0}, "--plateau-min-delta must be at least 0, not -1"),
        ({"plateau_patience": -1}, "--plateau-patience must be at least 0, not -1"),
        ({"plateau_cooldown": -1}, "--plateau-cooldown must be at least 0, not -1"),
        ({"plateau_monitor": "dev_loss"}, "--plateau-monitor must be one of loss, dev_f1, dev_accuracy"),
        (
            {"plateau_monitor": "dev_accuracy"},
            "--plateau-monitor dev_accuracy is not a figure of --task spans",
        ),
        (
            {"train": "a", "dev": "a", "task": "tags", "plateau_monitor": "dev_f1"},
            "--plateau-monitor dev_f1 is not a figure of --task tags",
        ),
        ({"dev": "a"}, "--dev needs --train"),
        ({"test": "a"}, "--test needs --train"),
        ({"train": "a"}, "--train needs --dev"),
        ({"columns": "word=2"}, "--columns needs --train"),
        ({"scheme": "BIO"}, "--scheme needs --train"),
        ({"task": "tags"}, "--task needs --train"),
        ({"train": "a", "dev": "a", "scheme": "BIE"}, "--scheme must be one of IO, BIO, .*, not 'BIE'"),
        ({"train": "a", "dev": "a", "task": "tags", "scheme": "BIO"}, "--scheme is of entities"),
        ({"train": "a", "dev": "a", "task": "tags", "decode": "valid"}, "--decode valid is of entities"),
    ],
)
def test_a_setting_out_of_range_is_named_by_its_flag(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 2.5}, "--hidden must be int, not 2.5"),
        ({"hidden": True}, "--hidden must be int, not True"),
        ({"lr": "fast"}, "--lr must be float, not 'fast'"),
        ({"tune_vectors": 1}, "--tune-vectors must be bool, not 1"),
        ({"vectors": None}, "--vectors must be str, not None"),
    ],
)
def test_a_setting_of_another_type_is_named_by_its_flag(settings, message):
    with pytest.raises(TypeError, match=message):
        Config(**settings)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValueError, match="unknown depth"):
        Config.from_dict({**Config().to_dict(), "depth": 3})


def test_a_run_from_before_there_was_a_setting_has_its_default():
    settings = Config(hidden=7).to_dict()
    for later in ("save_every", "keep", "task", "decode"):
        del settings[later]
    assert Config.from_dict(settings) == Config(hidden=7)


def test_a_whole_number_is_kept_as_the_float_that_it_is():
    assert json.dumps(Config(cycle_epochs=4).to_dict()["cycle_epochs"]) == "4.0"


def test_every_setting_has_a_flag_and_a_help_text():
    for setting in fields(Config):
        assert flag(setting.name).startswith("--")
        assert setting.metadata["help"]
