# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Fine-tuning BERT
#
# The only model code on the lecture's slides is a classifier on a pretrained BERT: take the encoder as others
# trained it, put one new layer on it, and train both a little on your task. This notebook does the same with
# an encoder whose every gradient is hand-derived.
#
# It runs on a real model of 22 million parameters and on real film reviews, if you have fetched them
# (`jaxbackprop assets bert-mini`, `jaxbackprop assets vader-movies`). Otherwise it makes a tiny random BERT
# and a few sentences: the code is the same, but nothing was learnt beforehand that could be transferred.

# %%
import io
import itertools
import json
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx
from IPython.display import Image, display
from PIL import Image as Picture
from rich.console import Console
from safetensors.numpy import save_file

from jaxbackprop.data import read_labelled
from jaxbackprop.finetune import (
    BertDataset,
    Settings,
    classifier_loss,
    finetune,
    load_classifier,
    make_updates,
    part_of,
    trainable,
)
from jaxbackprop.models import Bert, BertClassifier, BertConfig, load_bert
from jaxbackprop.pretrained import asset_folder, load_tokenizer
from jaxbackprop.train import Reporting, read_outcome

# Colours of Okabe and Ito, which can be told apart with any colour vision.
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
plt.rcParams |= {"savefig.dpi": 80, "axes.spines.top": False, "axes.spines.right": False}
plt.rcParams |= {"axes.titlesize": 10, "legend.frameon": False, "legend.fontsize": 8}
work = Path(tempfile.mkdtemp())


def show(figure):
    """Shows a figure in 64 colours: a third of the bytes, and no difference to the eye."""
    full, reduced = io.BytesIO(), io.BytesIO()
    figure.savefig(full)
    plt.close(figure)
    Picture.open(full).convert("RGB").quantize(64).save(reduced, "png", optimize=True)
    display(Image(reduced.getvalue()))


# %% [markdown]
# ## 1. A folder with a BERT in it
#
# Three files make a Hugging Face folder: the sizes, the tensors, and the pieces that words are cut into. Here
# is all that it takes to write one.


# %%
def tiny_folder(folder, words):
    """A random BERT of two layers that knows these words."""
    size, wide, layers = 32, 64, 2
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    config = {"vocab_size": len(pieces), "hidden_size": size, "intermediate_size": wide}
    config |= {"num_hidden_layers": layers, "num_attention_heads": 2, "max_position_embeddings": 32}
    shapes = {"pooler.dense": (size, size)}
    for n in range(layers):
        shapes |= {
            f"encoder.layer.{n}.attention.self.{name}": (size, size) for name in ("query", "key", "value")
        }
        shapes[f"encoder.layer.{n}.attention.output.dense"] = (size, size)
        shapes[f"encoder.layer.{n}.intermediate.dense"] = (wide, size)
        shapes[f"encoder.layer.{n}.output.dense"] = (size, wide)
    draw = np.random.default_rng(0)
    tensors = {f"{name}.weight": draw.normal(0, 0.15, shape) for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": np.zeros(shape[0]) for name, shape in shapes.items()}
    for name, rows in (("word", len(pieces)), ("position", 32), ("token_type", 2)):
        tensors[f"embeddings.{name}_embeddings.weight"] = draw.normal(0, 0.15, (rows, size))
    norms = [
        "embeddings",
        *(f"encoder.layer.{n}.{part}output" for n in range(layers) for part in ("", "attention.")),
    ]
    for norm in norms:
        tensors |= {f"{norm}.LayerNorm.weight": np.ones(size), f"{norm}.LayerNorm.bias": np.zeros(size)}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(pieces))
    save_file({name: t.astype(np.float32) for name, t in tensors.items()}, folder / "model.safetensors")
    return folder


def tiny_reviews(file):
    """Sentences whose last words decide."""
    good, bad = ["a gem", "a joy", "so fine", "great"], ["a bore", "a mess", "so dull", "flat"]
    rows = itertools.product(
        ["film", "movie", "plot", "cast"], ["is", "was", "and all is"], [*good, *bad], ".!"
    )
    lines = [f"{n}\tthe {a} {b} {c} {d}\t{int(c in good)}" for n, (a, b, c, d) in enumerate(rows)]
    file.write_text("\n".join(["id\tdocument\tlabel", *lines]))
    return file


folder, movies = asset_folder("bert-mini"), asset_folder("vader-movies") / "movies.tsv"
real = folder.is_dir() and movies.is_file()
reviews = work / "reviews.tsv"
if real:
    first, *lines = movies.read_text(encoding="utf-8").splitlines()
    reviews.write_text("\n".join([first, *lines[::9]]), encoding="utf-8")  # some 1,200
else:
    tiny_reviews(reviews)
    words = sorted({word for row in read_labelled(reviews) for word in row.sentence.split()})
    folder = tiny_folder(work / "bert", words)
settings = {"model": str(folder), "data": str(reviews), "max_length": 32, "examples": 240}
bert, tokenizer = load_bert(folder), load_tokenizer(folder)
sizes, layers = bert.config, bert.config.num_hidden_layers
print(
    f"{layers} layers of {sizes.hidden_size}, {sizes.num_attention_heads} heads, {sizes.vocab_size:,} pieces"
)

# %% [markdown]
# The encoder gives two things: a vector for every place, and one for the whole sequence, the *pooled* vector
# $\tanh(W x_0 + b)$ of the first place. What stands behind the sentence changes neither, if the mask says so.

# %%
rows = read_labelled(reviews)
encoded = tokenizer.encode([rows[0].sentence], max_length=32, pad_to=32)
read = nnx.jit(bert)
sequence, pooled = read(*encoded)
print("sequence", sequence.shape, " pooled", pooled.shape)
words = encoded.attention_mask == 1
other = encoded._replace(input_ids=np.where(words, encoded.input_ids, 7))
assert np.array_equal(read(*other)[0][words], sequence[words])

# %% [markdown]
# ## 2. The dataset of the slide
#
# `BertDataset(dataset, sent_idx, label_idx, bert_tokenizer, max_len, pad, pair)` stands on the slide, and
# here: the column of the sentence, that of the label, and how long a sequence may be. An item is what the
# encoder reads, and the label.

# %%
sentence, label = (rows[0]._fields.index(name) for name in ("sentence", "label"))
dataset = BertDataset(rows[:64], sentence, label, tokenizer, max_length=32, pad=True)
ids, segments, mask, number = dataset[0]
names = (folder / "vocab.txt").read_text().split("\n")
print(rows[0].sentence)
print(" ".join(names[n] for n in ids[mask == 1]))
print(f"{len(dataset)} items; label {dataset.labels[number]} out of {dataset.labels}")

# %% [markdown]
# ## 3. The classifier of the slide, and whether its gradient is right
#
# Pooled vector, dropout, one linear layer. All that can be differentiated in it is an operator whose gradient
# was derived by hand. The second opinion is the same encoder on one page of plain `jnp`, left to `jax.grad`.

# %%
model = BertClassifier(bert, num_classes=2, dropout=0.1, rngs=nnx.Rngs(0))
graphdef, parameters = nnx.split(model, nnx.Param)
batch = dataset.arrays


def layer_norm(x, p):
    centred = x - x.mean(-1, keepdims=True)
    spread = jnp.sqrt((centred**2).mean(-1, keepdims=True) + sizes.layer_norm_eps)
    return centred / spread * p["scale"] + p["bias"]


def attention(x, mask, p):
    q, k, v = (
        jnp.einsum("bth,hnd->bntd", x, p[w]["kernel"]) + p[w]["bias"][:, None]
        for w in ("query", "key", "value")
    )
    scores = jnp.einsum("bntd,bnsd->bnts", q, k) / jnp.sqrt(q.shape[-1] * 1.0)
    weights = jax.nn.softmax(jnp.where(mask[:, None, None] == 1, scores, -jnp.inf))
    return jnp.einsum("bnts,bnsd,ndh->bth", weights, v, p["out"]["kernel"]) + p["out"]["bias"]


def linear(x, p):
    return x @ p["kernel"] + p["bias"]


def plain_loss(p, batch):
    ids, bert = batch["input_ids"], p["bert"]
    x = bert["words"]["embedding"][ids] + bert["types"]["embedding"][batch["token_type_ids"]]
    x = layer_norm(x + bert["positions"]["embedding"][: ids.shape[1]], bert["norm"])
    for n in range(layers):
        layer = bert["layers"][n]
        x = layer_norm(x + attention(x, batch["attention_mask"], layer["attention"]), layer["attention_norm"])
        x = layer_norm(
            x + linear(jax.nn.gelu(linear(x, layer["up"]), approximate=False), layer["down"]), layer["norm"]
        )
    logits = linear(jnp.tanh(linear(x[:, 0], bert["pooler"])), p["classifier"])
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), batch["labels"][:, None], 1)
    return -chosen.mean()


def loss(parameters, batch):
    return classifier_loss(nnx.merge(graphdef, parameters), batch, None)


def by_part(gradient):
    """The root mean square of each part's gradient."""
    parts = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        parts.setdefault(part_of(path), []).append(np.ravel(leaf))
    return {part: float(np.sqrt(np.mean(np.concatenate(found) ** 2))) for part, found in parts.items()}


plain = nnx.to_pure_dict(parameters)
ours = nnx.to_pure_dict(jax.jit(jax.grad(loss))(parameters, batch))
theirs = jax.jit(jax.grad(plain_loss))(plain, batch)
largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(theirs))
apart = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), ours, theirs)
print(f"gradients differ by {max(jax.tree.leaves(apart)) / largest:.0e} of the largest entry")
assert max(jax.tree.leaves(apart)) < 1e-4 * largest

# %%
ORDER = ["embeddings", *(f"layers:{n}" for n in range(layers)), "pooler", "classifier"]
sizes_of = by_part(ours)
fig, ax = plt.subplots(figsize=(6.5, 2.6), layout="constrained")
ax.barh(ORDER, [sizes_of[part] for part in ORDER], color=BLUE, label="hand-derived")
ax.plot(
    [by_part(theirs)[part] for part in ORDER], ORDER, "o", color=ORANGE, label="jax.grad of the page above"
)
ax.set(xscale="log", title="Gradient before the first step, root mean square of each part")
ax.legend(loc="lower right")
show(fig)

# %% [markdown]
# The new layer has the largest gradient. What lies below it was trained by others, and hears of the task
# through it alone.
#
# ## 4. What to train
#
# The lecture's four answers are settings here. `freeze` keeps parts as they are, `unfreeze_gradually` begins
# with the new layer and lets one layer more join in each epoch, and `layerwise_decay` slows the lower ones.
# What a setting does shows in the size of a step where every gradient is 1.

# %%
STRATEGIES = {
    "new classifier only": {"freeze": "bert"},
    "last layers, too": {"freeze": f"embeddings,layers:0-{layers // 2 - 1}"},
    "all": {"layerwise_decay": 0.8},
    "gradually": {"unfreeze_gradually": True},
}
EPOCHS = layers + 2
small = BertConfig(
    vocab_size=2, hidden_size=2, intermediate_size=2, num_attention_heads=1, num_hidden_layers=layers
)
like = BertClassifier(Bert(small, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))


def steps(strategy):
    """The size of a step in each part (rows) and epoch (columns)."""
    said = Settings.of(settings | strategy, {"optimizer": "sgd", "clip_norm": 1e9})
    _, trained, _ = nnx.split(like, trainable(said, layers), ...)
    ones = jax.tree.map(jnp.ones_like, trained)
    optimizer = make_updates(said, lambda step: 1.0, 1, layers)
    state, update, found = optimizer.init(ones), jax.jit(optimizer.update), np.zeros((len(ORDER), EPOCHS))
    for epoch in range(EPOCHS):
        updates, state = update(ones, state, trained)
        for part, size in by_part(updates).items():
            found[ORDER.index(part), epoch] = size
    return found


fig, axes = plt.subplots(1, 4, figsize=(9, 2.4), sharey=True, layout="constrained")
for ax, (name, strategy) in zip(axes, STRATEGIES.items(), strict=True):
    shown = ax.pcolormesh(
        np.arange(1, EPOCHS + 1),
        range(len(ORDER)),
        steps(strategy),
        vmin=0,
        vmax=1,
        cmap="Blues",
        edgecolors="white",
    )
    ax.set(
        title=name, xlabel="epoch", xticks=range(1, EPOCHS + 1), yticks=range(len(ORDER)), yticklabels=ORDER
    )
fig.colorbar(shown, ax=axes, label="size of a step")
show(fig)

# %% [markdown]
# ## 5. Trained
#
# The four on the same sentences, as `jaxbackprop finetune` trains them (on the tiny model one is enough). A
# tenth of the sentences is held out to choose the epoch by, and a tenth for the test.

# %%
how = {"epochs": min(EPOCHS, 5), "batch_size": 16, "lr": 3e-4 if real else 5e-3}
quiet = Reporting(Console(quiet=True), warn=lambda line: None)
runs = {}
for name in STRATEGIES if real else ["all"]:
    # A new layer by itself can take longer steps than what is pretrained.
    rate = {"lr": 1e-2} if name == "new classifier only" else {}
    run = finetune(Settings.of(settings | STRATEGIES[name], how | rate), work / name, quiet)
    runs[name] = read_outcome(run)
    print(f"{name:20} best epoch {runs[name].best['epoch']}, test accuracy {runs[name].test:.3f}")


def moved(run):
    """How far each part has moved, over its length."""
    after = nnx.to_pure_dict(nnx.state(load_classifier(run, print).model, nnx.Param))
    drawn = BertClassifier(bert, rngs=nnx.Rngs(0))  # the same new layer as the run began with
    before = nnx.to_pure_dict(nnx.state(drawn, nnx.Param))
    change, length = by_part(jax.tree.map(jnp.subtract, after, before)), by_part(before)
    return [change[part] / length[part] for part in ORDER]


fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for (name, run), colour in zip(runs.items(), (GREEN, ORANGE, BLUE, VERMILLION), strict=False):
    epochs = [epoch["epoch"] for epoch in run.epochs]
    left.plot(epochs, [epoch["loss"] for epoch in run.epochs], ":", color=colour)
    left.plot(epochs, [epoch["dev_accuracy"] for epoch in run.epochs], color=colour, label=name)
    right.plot(moved(run.path)[:-1], ORDER[:-1], "o-", color=colour, label=name)
left.set(
    title="development accuracy, and the training loss (dotted)", xlabel="epoch", ylim=(0, 1), xticks=epochs
)
right.set(title="change of what was pretrained, over its length", xlim=(0, None))
left.legend(loc="lower left")
show(fig)
assert max(run.dev for run in runs.values()) > 0.6

# %% [markdown]
# On bert-mini a new classifier by itself learns little from 240 sentences: the pooled vector that it reads
# was made for another task (this encoder was trained to be read by its mean over the places). Where the
# layers may move, too, a few hundredths of their length are enough. With some 120 test sentences the
# accuracies are good to 0.08 or so.
#
# A run folder predicts, and `jaxbackprop predict RUN --text '...'` does the same.

# %%
best = max(runs.values(), key=lambda run: run.dev)
classifier = load_classifier(best.path, print)
for text in ("the film is a joy .", "the plot was a mess !"):
    label, shares = classifier.predict([text])[0]
    print(f"{text:24} {label}  {shares.max():.2f}")

# %% [markdown]
# What the lecture says of when to do which:
#
# | | similar to what the encoder has read | dissimilar |
# |---|---|---|
# | large | new classifier and last layers | all, from the pretrained parameters |
# | small | new classifier only | more data by augmentation |
#
# One run of each on a few hundred sentences decides nothing; `jaxbackprop finetune --seeds 5` repeats a
# run, and `jaxbackprop compare` holds several beside one another. What is transferred by BERT, and what by
# ELMo, ULMFiT, GPT-2 and the others on the slide, is told in
# [`MODELS.md`](../jaxbackprop/transfer/MODELS.md).
