"""The four strategies beside two baselines, on a tiny BERT and sentences made on the spot."""

import json
from functools import partial

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from jaxbackprop.bench import _accuracy_table, _bert_strategies
from jaxbackprop.bench._accuracy_interval import paired_difference
from jaxbackprop.bench._accuracy_table import Accuracies
from jaxbackprop.bench._bert_strategies import Trainer
from jaxbackprop.bench._bert_texts import EncodedTexts
from jaxbackprop.bench._sentence_baselines import VECTORS, WORDS, on_vectors, on_words
from jaxbackprop.commands import main
from jaxbackprop.data import Labelled
from jaxbackprop.finetune import Settings
from jaxbackprop.models import BertClassifier, class_logits, load_bert
from jaxbackprop.pretrained import load_tokenizer
from tests.models.bert.folders import CONFIG, write_folder

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")
pytest.importorskip("sklearn")

STEADY = CONFIG | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
NAMES = [one.name for one in _bert_strategies.STRATEGIES]


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    monkeypatch.setattr(_accuracy_table, "paired_difference", partial(paired_difference, samples=200))


def rows(count, seed):
    """The label is whether the sentence is good; some fill the second of the widths."""
    draw = np.random.default_rng(seed)
    labels, lengths = draw.integers(2, size=count), draw.integers(2, 20, size=count)
    return [
        Labelled(f"the movie is {' '.join([['bad', 'good'][label]] * length)}", None, str(label))
        for label, length in zip(labels, lengths, strict=True)
    ]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("bert"), config=STEADY | {"max_position_embeddings": 40})
    return folder, load_bert(folder), load_tokenizer(folder)


@pytest.fixture(scope="module")
def texts(bert):
    _, model, tokenizer = bert
    return EncodedTexts(rows(53, 0), ("0", "1"), tokenizer, model)


def test_each_sentence_is_in_one_batch_with_its_label(texts):
    chosen = np.arange(3, 53)
    seen = []
    for batch in texts.batches(chosen, 16, np.random.default_rng(0)):
        assert len(batch["labels"]) == 16
        for at in np.flatnonzero(batch["mask"]):
            row = next(n for n in chosen if (texts.pooled[n] == batch["pooled"][at]).all() and n not in seen)
            seen.append(row)
            assert batch["labels"][at] == texts.labels[row]
            # Nothing but padding is cut off.
            assert batch["attention_mask"][at].sum() == texts._pieces["attention_mask"][row].sum()
    assert sorted(seen) == list(chosen)
    assert {batch["input_ids"].shape[1] for batch in texts.batches(chosen, 8, np.random.default_rng(0))} == {
        16,
        32,
    }


def test_what_a_model_predicts_does_not_depend_on_its_batches(texts, bert):
    model = BertClassifier(bert[1], 2, rngs=nnx.Rngs(0))
    logits = class_logits(model, texts._pieces)
    middle = np.median(logits[:, 1] - logits[:, 0])
    model.classifier.bias[...] = np.array([middle, 0], np.float32)
    expected = class_logits(model, texts._pieces).argmax(-1)
    assert 20 < np.sum(expected) < 30
    np.testing.assert_array_equal(texts.predicted(model, frozen=False), expected)
    np.testing.assert_array_equal(texts.predicted(model, frozen=True), expected)


def test_sentence_vectors_are_means_over_pieces(texts, bert):
    ids, mask = (texts._pieces[name][7:8] for name in ("input_ids", "attention_mask"))
    count = int(mask.sum())
    sequence, pooled = bert[1](ids[:, :count])
    np.testing.assert_allclose(texts.vectors[7], np.mean(sequence[0], 0), atol=1e-5)
    np.testing.assert_allclose(texts.pooled[7], pooled[0], atol=1e-5)


# Parts that each strategy changes: the embeddings, the layers from the bottom, the pooler, the new layer.
CHANGED = {
    "head only": (False, False, False, False, True),
    "last layers": (False, False, True, True, True),
    "all layers": (True, True, True, True, True),
    "gradual": (True, True, True, True, True),
}


@pytest.fixture(scope="module")
def trainer():
    return Trainer(Settings.of({}, {}), CONFIG["num_hidden_layers"])


@pytest.mark.parametrize("strategy", _bert_strategies.STRATEGIES, ids=lambda one: one.name)
def test_a_strategy_trains_its_parts_and_lowers_the_loss(trainer, texts, bert, strategy):
    model = BertClassifier(bert[1], 2, rngs=nnx.Rngs(0))
    # Of one width, for which alone programs are compiled.
    chosen = np.flatnonzero(texts._width == 0)
    assert len(chosen) > 20
    trained = trainer.train(model, strategy, 1e-2, texts, chosen, 16 // strategy.longer or 1, 0)
    changed = [
        any(
            not np.array_equal(one, other)
            for one, other in zip(
                *(jax.tree.leaves(nnx.state(part(m))) for m in (model, trained)), strict=True
            )
        )
        for part in (
            lambda m: m.bert.words,
            lambda m: m.bert.layers[0],
            lambda m: m.bert.layers[1],
            lambda m: m.bert.pooler,
            lambda m: m.classifier,
        )
    ]
    assert tuple(changed) == CHANGED[strategy.name]

    def loss(model):
        logits, labels = class_logits(model, texts._pieces)[chosen], texts.labels[chosen]
        return float(np.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels)))

    assert loss(trained) < loss(model) - 0.005


def test_baselines_learn_what_there_is_to_learn():
    train, dev, test = (rows(60, seed) for seed in range(3))
    labels, dev_labels, test_labels = (
        np.array([int(row.label) for row in part]) for part in (train, dev, test)
    )
    sentences = [[row.sentence for row in part] for part in (train, dev, test)]
    assert on_words(sentences[0], labels, (sentences[1], dev_labels), (sentences[2], test_labels)).all()
    draw = np.random.default_rng(0)
    vectors = [
        draw.normal(size=(60, 5)) + found[:, None] * [0, 3, 0, 0, 0]
        for found in (labels, dev_labels, test_labels)
    ]
    right = on_vectors(vectors[0], labels, (vectors[1], dev_labels), (vectors[2], test_labels))
    assert 0.85 < right.mean() < 1
    # The test labels are no part of the choice.
    other = on_vectors(vectors[0], labels, (vectors[1], dev_labels), (vectors[2], 1 - test_labels))
    np.testing.assert_array_equal(other, ~right)


@pytest.fixture
def files(bert, tmp_path):
    path = tmp_path / "movies.tsv"
    lines = [f"{row.sentence}\t{row.label}" for row in rows(80, 3)]
    path.write_text("\n".join(["sentence\tlabel", *lines]) + "\n", encoding="utf-8")
    return ["--model", str(bert[0]), "--data", str(path)]


def test_command_runs_each_strategy_on_the_same_sentences(files, tmp_path, monkeypatch, capsys):
    trained = []

    def train(self, model, strategy, rate, texts, chosen, epochs, seed):
        trained.append((strategy.name, rate, tuple(chosen), epochs, seed))
        return model

    monkeypatch.setattr(Trainer, "train", train)
    out = tmp_path / "out.json"
    flags = ["bench", "bert", "--accuracy", "--sizes", "all,20", "--seeds", "2", "--json", str(out), *files]
    # Untrained, it does not beat a bag of words.
    assert main(flags) == 1
    found = json.loads(out.read_text())
    assert not found["met"]
    assert {(row["row"], row["size"]) for row in found["rows"]} == {
        (name, size) for name in (VECTORS, WORDS, *NAMES) for size in ("20", "all")
    }
    assert all(len(row["accuracy"]) == 2 for row in found["rows"])
    words = next(row for row in found["rows"] if (row["row"], row["size"]) == (WORDS, "all"))
    assert words["accuracy"] == [1, 1]
    assert words["wrong"] == [[], []]
    for strategy in _bert_strategies.STRATEGIES:
        mine = [one for one in trained if one[0] == strategy.name]
        # The smallest size and the first seed choose the rate.
        tried = [rate for _, rate, chosen, _, seed in mine if len(chosen) == 20 and seed == 0]
        assert tuple(tried) == strategy.rates
        assert len(mine) == len(strategy.rates) + 3
    # Each seed draws its own, which all strategies get.
    assert len({chosen for _, _, chosen, _, _ in trained if len(chosen) == 20}) == 2
    shown = capsys.readouterr().out
    # What was stopped goes on.
    rows_of = {(row["row"], row["size"]): row for row in found["rows"]}
    for key in ("accuracy", "wrong"):
        rows_of["gradual", "all"][key].pop()
    out.write_text(json.dumps(found))
    trained.clear()
    assert main(flags) == 1
    assert [(name, len(chosen), seed) for name, _, chosen, _, seed in trained] == [("gradual", 64, 1)]
    again = json.loads(out.read_text())
    assert [len(row["wrong"]) for row in again["rows"]] == [2] * 12
    assert {**again, "rows": None} == {**found, "rows": None}
    assert "all sentences: all layers less logistic regression, bag of words: -0." in shown


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--accuracy", "--sizes", "20,some"],
            "--sizes must be all, or from 2 to 64 training sentences, not 'some'",
        ),
        (
            ["--accuracy", "--sizes", "65"],
            "--sizes must be all, or from 2 to 64 training sentences, not '65'",
        ),
        (["--accuracy", "--seeds", "0"], "--seeds must be at least 1, not 0"),
        (["--accuracy", "--plot", "a.png"], "bench bert takes no --plot"),
        (["--seeds", "2"], "--seeds is of bench bert --accuracy"),
    ],
)
def test_bad_flags(flags, said, files, capsys):
    assert main(["bench", "bert", *flags, *files]) == 2
    assert capsys.readouterr().err == f"jaxbackprop: error: {said}\n"


def accuracies(tuned, sizes):
    """A test of 400 sentences, of which the baselines get 280 right."""
    found = Accuracies({"model": "a"}, 400, sizes)
    for size in sizes:
        for name in (VECTORS, WORDS, *NAMES):
            right = tuned[size] if name == "all layers" else 280
            draws = (np.random.default_rng([seed, right]).permutation(400) < right for seed in range(3))
            found.right[name, size] = list(draws)
    return found


@pytest.mark.parametrize(("small", "large", "met"), [(200, 330, True), (330, 282, False), (330, 260, False)])
def test_it_is_met_where_the_intervals_of_large_sizes_lie_above_0(small, large, met):
    found = accuracies({"200": small, "all": large}, {"200": 200, "all": 3000})
    assert found.met is met
    assert any(
        line.split()
        == ["all", "layers", f"{small / 400:.4f}", "±", "0.0000", f"{large / 400:.4f}", "±", "0.0000"]
        for line in found.lines()
    )


def test_a_size_that_has_not_been_run_is_not_met():
    found = accuracies({"2,000": 330, "all": 330}, {"2,000": 2000, "all": 3000})
    assert found.met
    del found.right["all layers", "all"]
    assert not found.met


@pytest.mark.parametrize("text", ["", "[1]", '{"rows": [{}], "source": {"model": "a"}}', '{"rows": 3}'])
def test_a_file_of_something_else_is_not_gone_on_with(text, tmp_path):
    found = Accuracies({"model": "a"}, 400, {"200": 200})
    (tmp_path / "out.json").write_text(text)
    assert found.recall(str(tmp_path / "out.json")) == 0
    assert found.recall(str(tmp_path / "none.json")) == 0


def test_runs_of_another_source_are_made_again(tmp_path):
    sizes = {"200": 200, "all": 3000}
    (tmp_path / "out.json").write_text(json.dumps(accuracies({"200": 300, "all": 330}, sizes).to_dict()))
    same = Accuracies({"model": "a"}, 400, sizes)
    assert same.recall(str(tmp_path / "out.json")) == 36
    assert same.lines() == accuracies({"200": 300, "all": 330}, sizes).lines()
    assert Accuracies({"model": "b"}, 400, sizes).recall(str(tmp_path / "out.json")) == 0
    assert Accuracies({"model": "a"}, 400, {"200": 200, "all": 3001}).recall(str(tmp_path / "out.json")) == 18
