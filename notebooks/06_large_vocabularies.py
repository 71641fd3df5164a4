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
# # Large vocabularies
#
# A language model guesses the next word, so its softmax has a class for every word: fifty thousand of them.
# Its last layer is then most of the model, in weights, in time and above all in memory. Here you see where
# the memory goes, why the lecture's $p - y$ does not need it, and a model with a vocabulary of 50,000 that
# trains without it. The text is one that every Python has at hand: the source of its standard library.

# %%
import re
import sysconfig
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

from jaxbackprop import ops
from jaxbackprop.models import LanguageModel, language_model_loss, next_word_log_probabilities
from reference.linear_softmax_cross_entropy import linear_softmax_cross_entropy_vjp

plt.rcParams |= {"figure.dpi": 90, "axes.spines.top": False, "axes.spines.right": False}
# Colours of Okabe and Ito, which can be told apart with any colour vision.
BLUE, VERMILLION = "#0072B2", "#D55E00"
V = 50_000

# %% [markdown]
# ## 1. Where the memory goes
#
# $N$ words of text are to be predicted. The layer below hands over a vector $x_n$ of $D$ numbers for each.
# The output weights $W$ have a row a word, and
#
# $$z_n = W x_n, \qquad p_n = \mathrm{softmax}(z_n), \qquad J = -\frac{1}{N} \sum_n \log p_{n, c_n}$$
#
# with $c_n$ the word that came. Count numbers: $x$ has $N D$, $W$ has $V D$, the logits have $N V$.

# %%
N, D = 4096, 256
for name, numbers in [("x", N * D), ("W", V * D), ("logits z", N * V)]:
    print(f"{name:9}{numbers:>12,} numbers {4 * numbers / 1e6:8.1f} MB")

# %% [markdown]
# Autodiff keeps the logits (or the probabilities) from the forward pass for the backward pass, which makes
# another array of their size. XLA says what a compiled program sets aside besides its arguments and results.
# Nothing is run for it.


# %%
def megabytes(loss):
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((N, D), (V, D))]
    labels = jax.ShapeDtypeStruct((N,), jnp.int32)
    compiled = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(*shapes, labels).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 1e6


def whole(x, W, labels):
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(x @ W.T, labels))


def in_chunks(chunk):
    return lambda x, W, labels: ops.linear_softmax_cross_entropy(x, W, labels, chunk=chunk)


dense = megabytes(whole)
print(f"{'autodiff':22}{dense:8.0f} MB")
for chunk in ("fast", "auto", "lean", 128):
    taken = megabytes(in_chunks(chunk))
    print(f"ours, chunk = {chunk!r:8}{taken:8.0f} MB, {dense / taken:4.1f} times less")
    assert dense > (15 if chunk == "lean" else 4) * taken

# %% [markdown]
# ## 2. Why $p - y$ needs no logits
#
# The gradient of one word's loss with respect to its logits is $\delta_n = p_n - y_n$. Then, as for any
# linear map, $\partial J/\partial x_n = W^\mathsf{T} \delta_n$ and
# $\partial J/\partial W = \sum_n \delta_n x_n^\mathsf{T}$ (all over $N$ here).
#
# Look at what $\delta_n$ needs: the logits of its own word, nobody else's, and nothing that only the backward
# pass knows. So a chunk of words at a time has its logits made, its loss taken, its $\delta$ used for both
# gradients, and is forgotten. What adds up over the chunks has the size of $W$. If the loss is then scaled by
# some factor, its gradient is scaled by that factor: the backward pass is one multiplication.
#
# Three products of matrices are made, as many as without chunks. In NumPy, for one word at a time:

# %%
rng = np.random.default_rng(0)
x, W, labels = rng.normal(size=(6, 4)), rng.normal(size=(10, 4)), np.array([3, 1, 4, 1, 5, 9])
dx, dW = np.zeros_like(x), np.zeros_like(W)
for n, c in enumerate(labels):
    z = W @ x[n]
    delta = np.exp(z - z.max())
    delta /= delta.sum()
    delta[c] -= 1
    dx[n] = W.T @ delta / len(labels)
    dW += np.outer(delta, x[n]) / len(labels)

paper_dx, paper_dW, _, _ = linear_softmax_cross_entropy_vjp(x, W, labels, None, 1.0)
np.testing.assert_allclose(dx, paper_dx, atol=1e-15)
np.testing.assert_allclose(dW, paper_dW, atol=1e-15)
with jax.enable_x64(True):
    for chunk in (1, 4, 6):
        ours = jax.grad(in_chunks(chunk), (0, 1))(jnp.asarray(x), jnp.asarray(W), labels)
        np.testing.assert_allclose(ours[0], dx, atol=1e-14)
        np.testing.assert_allclose(ours[1], dW, atol=1e-14)
print("the same gradients, whatever the chunk")

# %% [markdown]
# ## 3. The text
#
# Words are names, numbers and signs, as they stand in the modules of the standard library. Of the 50,000 rows
# one is for whatever is rare, and the others for the most frequent words. Should a library have fewer, the
# last rows stay unused; the softmax costs the same.

# %%
source = Path(sysconfig.get_path("stdlib"))
files = sorted(source.glob("*.py")) + sorted(source.glob("[a-z]*/*.py"))
kept = [f for f in files if not {"test", "idlelib", "lib2to3", "site-packages"} & set(f.parts)]
texts = [re.findall(r"\w+|[^\w\s]", f.read_text(encoding="utf-8", errors="ignore")) for f in kept]
counts = Counter(word for text in texts for word in text)
vocabulary = ["<rare>"] + [word for word, _ in counts.most_common(V - 1)]
number = {word: i for i, word in enumerate(vocabulary)}
ids = np.array([number.get(word, 0) for text in texts for word in text], np.int32)
millions, thousands = len(ids) // 100_000 / 10, len(vocabulary) // 1000
print(f"more than {millions} million words, more than {thousands},000 of them different")

# %% [markdown]
# ## 4. Training
#
# Word vectors, a recurrent layer, and the head. The table of word vectors serves twice, at the bottom to read
# words and at the top to score them (*tied weights*), and its gradients from both ends add. One step predicts
# 1024 words.

# %%
BATCH, STEPS, UPDATES = 32, 32, 60
graphdef, state = nnx.split(LanguageModel(num_words=V, word_dim=32, hidden=64, rngs=nnx.Rngs(0)))
optimizer = optax.adam(1e-2)
held_out, training = ids[-40_000:], ids[:-40_000]


def cut(text, starts):
    return jnp.asarray(text[starts[:, None] + np.arange(STEPS + 1)])


def loss(state, batch):
    return language_model_loss(nnx.merge(graphdef, state), batch)


@jax.jit
def step(state, moments, batch):
    value, grads = jax.value_and_grad(loss)(state, batch)
    updates, moments = optimizer.update(grads, moments)
    return optax.apply_updates(state, updates), moments, value


evaluate = jax.jit(loss)
unseen = cut(held_out, np.arange(0, len(held_out) - STEPS - 1, len(held_out) // 32)[:32])
moments = optimizer.init(state)
curve, unseen_curve = [], []
for update in range(UPDATES):
    if update % 20 == 0:
        unseen_curve.append((update, float(evaluate(state, unseen))))
    starts = np.random.default_rng(update).integers(0, len(training) - STEPS, BATCH)
    state, moments, value = step(state, moments, cut(training, starts))
    curve.append(float(value))
unseen_curve.append((UPDATES, float(evaluate(state, unseen))))

figure, axis = plt.subplots(figsize=(6, 3))
axis.plot(curve, color=BLUE, linewidth=1, label="batch")
axis.plot(*zip(*unseen_curve, strict=True), "o-", color=VERMILLION, label="text not seen")
axis.axhline(np.log(V), color="grey", linestyle=":", linewidth=1)
axis.annotate("all words alike: log 50,000", (UPDATES, np.log(V)), ha="right", va="top", fontsize=8)
axis.set(xlabel="updates", ylabel="loss, nats a word")
axis.legend(frameon=False)
plt.show()
# It starts from knowing nothing, and learns.
assert abs(unseen_curve[0][1] - np.log(V)) < 1
assert unseen_curve[-1][1] < 6.5

# %% [markdown]
# What a training step sets aside, beside the same model whose last layer is written as usual:


# %%
def usual_loss(state, batch):
    model = nnx.merge(graphdef, state)
    W, bias = model.head()
    logits = ops.linear(model(batch[:, :-1]), W, bias)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch[:, 1:]))


batch = jax.ShapeDtypeStruct((BATCH, STEPS + 1), jnp.int32)
lean = lambda state, batch: language_model_loss(nnx.merge(graphdef, state), batch, chunk="lean")  # noqa: E731
for name, f in [
    ("usual last layer", usual_loss),
    ("ours, chunk = 'auto'", loss),
    ("ours, chunk = 'lean'", lean),
]:
    compiled = jax.jit(jax.value_and_grad(f)).lower(state, batch).compile()
    print(f"{name:22}{compiled.memory_analysis().temp_size_in_bytes / 1e6:6.0f} MB")

# %% [markdown]
# And what it has learnt so far:

# %%
model = nnx.merge(graphdef, state)
for words in ["for i in", "def __init__ (", "if x is"]:
    prompt = jnp.asarray([[number.get(word, 0) for word in words.split()]])
    log_p = np.asarray(next_word_log_probabilities(model, prompt))[0]
    best = np.argsort(log_p)[::-1][:3]
    print(f"{words:16}", "   ".join(f"{vocabulary[i]} {np.exp(log_p[i]):.0%}" for i in best))
