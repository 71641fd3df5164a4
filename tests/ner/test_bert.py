"""Tagging by a BERT: from corpus to run folder and back, on a tiny model made on the spot."""

import io
import json
import shutil

import jax
import numpy as np
import pytest
from flax import nnx
from rich.console import Console

from jaxbackprop import ner
from jaxbackprop.commands import main
from jaxbackprop.data import Sentence, read_conll
from jaxbackprop.models import load_bert
from jaxbackprop.ner._pieces import PieceEncoder
from jaxbackprop.pretrained import load_tokenizer
from jaxbackprop.train import Config, Reporting, RunError, read_outcome
from tests.commands.together import differences, train_together
from tests.models.bert.folders import CONFIG, write_folder

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

# So few units that dropout would drown what they say.
STEADY = CONFIG | {"num_hidden_layers": 1, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def text(count, seed):
    draw = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        name, verdict = draw.choice(["영화", "movies"]), draw.choice(["good", "badly", "좋다"])
        lines += ["the\tO", f"{name}\tB-film", "재미있다\tI-film", "is\tO", f"{verdict}\tO"]
        lines += ["a\tO", "b\tO", "movie\tB-film", ".\tO"] * int(draw.integers(2)) + [""]
    return "\n".join(lines) + "\n"


def settings(folder, **more):
    files = {name: str(folder / f"{name}.conll") for name in ("train", "dev", "test")}
    how = {"encoder": str(folder / "bert"), "max_length": 12, "epochs": 8, "batch_size": 8, "lr": 1e-2}
    return Config(model="bert", **files | how | more)


def quiet(**told):
    return Reporting(Console(file=io.StringIO(), width=200), **told)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, data, and a run on them."""
    folder = tmp_path_factory.mktemp("bert-tagger")
    write_folder(folder / "bert", config=STEADY)
    for name, count in (("train", 40), ("dev", 10), ("test", 10)):
        (folder / f"{name}.conll").write_text(text(count, len(name)), encoding="utf-8")
    ner.train(settings(folder), folder / "run", quiet())
    return folder


def test_it_learns_and_what_reads_runs_agrees(made, tmp_path, capsys):
    results = json.loads((made / "run" / "results.json").read_text())
    assert read_outcome(made / "run").dev > 0.9
    given = ["evaluate", str(made / "run"), str(made / "test.conll")]
    assert main([*given, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == results["test"]
    assert main([*given, "--errors", "-"]) == 0
    assert capsys.readouterr().out.startswith("error\tsentence")
    shutil.rmtree(made / "bert")  # the run holds all it needs
    try:
        assert main(["predict", str(made / "run"), "--text", "the movies 재미있다", "--json"]) == 0
    finally:
        write_folder(made / "bert", config=STEADY)
    told = json.loads(capsys.readouterr().out)
    assert told["words"] == ["the", "movies", "재미있다"]
    assert told["entities"][0]["text"] == "movies 재미있다"


def test_the_doctor_examines_a_run(made, capsys):
    assert main(["doctor", str(made / "run"), "--data", str(made / "test.conll")]) in (0, 1)
    said = capsys.readouterr().out
    assert said.startswith(f"{made / 'run'}: ")
    assert "embedding_4" in said  # the vectors of the words' first pieces


@pytest.mark.exhaustive
def test_a_run_goes_on_to_the_same_bits(made, tmp_path):
    class Stop(Exception):
        pass

    def stop(made, mean, rate):
        if made > 8:
            raise Stop

    with pytest.raises(Stop):
        ner.train(settings(made, save_every=3), tmp_path / "run", quiet(on_steps=stop))
    ner.resume(tmp_path / "run", {}, quiet())
    metrics = [(run / "metrics.jsonl").read_bytes() for run in (tmp_path / "run", made / "run")]
    assert metrics[0] == metrics[1]
    sums = [
        json.loads((run / "results.json").read_text())["parameters_sha256"]
        for run in (tmp_path / "run", made / "run")
    ]
    assert sums[0] == sums[1]


def test_a_run_does_not_go_on_with_other_weights(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    (tmp_path / "run" / "status.json").write_text('{"status": "interrupted"}')
    with pytest.raises(RunError, match="--encoder is 'x', but it began with"):
        ner.resume(tmp_path / "run", {"encoder": "x"}, quiet())


def test_sentences_are_cut_between_words_and_lose_none(made):
    tokenizer, bert = load_tokenizer(made / "bert"), load_bert(made / "bert").config
    draw = np.random.default_rng(0)
    words = ["the", "movies", "재미있다", "badly", ".", "\u200b", "good" * 9]
    sentences = [tuple(draw.choice(words, size)) for size in (0, 1, 5, 30, 3)] + [("good" * 9,) * 2]
    for limit in (4, 5, 12):
        pieces = PieceEncoder(("O", "X"), tokenizer, bert, limit).encode(
            [Sentence(words, ("X",) * len(words)) for words in sentences]
        )
        covered = [[] for _ in sentences]
        for (number, begin, end), first in zip(pieces.rows, pieces.arrays["first_pieces"], strict=True):
            covered[number] += range(begin, end)
            own = tokenizer.encode_words([sentences[number][begin:end]], max_length=200)
            assert own.attention_mask.sum() <= limit or end == begin + 1 or "good" * 9 in sentences[number]
            # Whatever has a piece keeps its first one.
            assert ((first[: end - begin] >= 0) == (own.first_pieces[0] >= 0)).all()
        assert covered == [list(range(len(words))) for words in sentences]
        assert ((pieces.arrays["labels"] >= 0) == (pieces.arrays["first_pieces"] >= 0)).all()


def test_padding_and_neighbours_change_nothing(made):
    tagger = ner.load_tagger(made / "run", lambda text: None)
    sentences = [sentence.words for sentence in read_conll(made / "test.conll")]
    together = tagger.tag([*sentences, (), sentences[0] * 20])
    assert together[:-2] == [tagger.tag([words])[0] for words in sentences]
    assert (together[-2], len(together[-1])) == ((), 20 * len(sentences[0]))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "bert", "--hidden", "300"], "--hidden is of --model window, not bert"),
        (["--model", "bert", "--freeze-vectors"], "--tune-vectors is of --model window, not bert"),
        (["--max-length", "64"], "--max-length is of --model bert, not window"),
        (["--model", "bert", "--encoder", ""], "--encoder must be"),
        (["--model", "bert", "--freeze", "layers:1"], "the model's layers are 0 to 0"),
        (["--model", "bert", "--train", "*.conll"], "--model bert streams no files"),
    ],
)
def test_what_does_not_go_together_is_refused(made, tmp_path, capsys, flags, message):
    data = ["--train", str(made / "train.conll"), "--dev", str(made / "dev.conll")]
    where = ["--encoder", str(made / "bert")] if "bert" in flags else []
    assert main(["train", *data, *where, "--out", str(tmp_path / "run"), *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "more", [{"dtype": "bfloat16"}, {"freeze": "bert"}, {"mesh": "data=2"}, {"patience": 1}]
)
def test_the_other_settings_of_training_hold(made, tmp_path, more):
    ner.train(settings(made, **more), tmp_path / "run", quiet())
    tagger = ner.load_tagger(tmp_path / "run", lambda text: None)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert tagger.evaluate(read_conll(made / "test.conll")).to_dict() == results["test"]
    if "freeze" in more:
        before = load_bert(made / "bert")
        for ours, theirs in zip(
            *(jax.tree.leaves(nnx.state(one)) for one in (tagger.model.bert, before)), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.exhaustive
def test_seeds_stand_side_by_side(made, tmp_path):
    ner.train_seeds(settings(made, epochs=2), 2, tmp_path / "runs", quiet())
    summary = json.loads((tmp_path / "runs" / "summary.json").read_text())
    assert len(summary["seeds"]) == 2


@pytest.mark.exhaustive
def test_two_processes_train_as_one_does(made, tmp_path):
    how = {"optimizer": "sgd", "epochs": 2, "batch_size": 8, "max_length": 12, "lr": 1e-2}
    ner.train(settings(made, **how), tmp_path / "one", quiet())
    files = [f"--{name}={made / name}.conll" for name in ("train", "dev", "test")]
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in how.items()]
    chosen = ["--model", "bert", "--encoder", made / "bert", *files, *flags]
    said = train_together(2, *chosen, "--out", tmp_path / "two")
    assert [code for code, _, _ in said] == [0, 0], said
    # With the pooler, which is not trained.
    assert differences(tmp_path / "one", tmp_path / "two")[2] < 1e-5
