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
# # A pitfall when retraining word vectors
#
# The lecture's unit 1 ends with a warning. Word vectors that were learnt from billions of words know that
# *TV*, *telly* and *television* are much the same. Train a classifier on a small text that holds the first
# two, let the gradient change their vectors, and the third is left behind: it gets no gradient. Three ways to
# use pretrained vectors have names:
#
# - **pre-trained**: used as they are, *frozen* here;
# - **fine-tuning**: training goes on from them and changes them, *tuned*;
# - **retraining**: learnt from the start, from the text at hand, *random*.
#
# Here all three are measured on real tweets with real vectors (GloVe, 50 numbers a word).

# %%
import codecs
import io

import numpy as np
from IPython.display import Image, display
from PIL import Image as Picture

from jaxbackprop.data import default_corpus, load_vectors
from jaxbackprop.train import Config
from jaxbackprop.transfer import (
    WHY,
    draw_pitfall,
    draw_synonyms,
    measure_pitfall,
    measure_similarity,
    measure_synonyms,
    rule_of_thumb,
    synonyms_text,
    verdict,
)

corpus, glove = default_corpus(), load_vectors("glove")
SMALL = Config(hidden=50, batch_size=64, epochs=5, cycle_epochs=5.0, average=0.0)


def show(figure):
    """Shows a figure in 64 colours: a third of the bytes, and no difference to the eye."""
    full, reduced = io.BytesIO(), io.BytesIO()
    figure.savefig(full, dpi=75)
    Picture.open(full).convert("RGB").quantize(64).save(reduced, "png", optimize=True)
    display(Image(reduced.getvalue()))


# %% [markdown]
# ## 1. The slide's picture
#
# Why a word that is not in the text does not move takes one line: $\nabla_x J = W^T \delta$ is the gradient
# of the vectors *in the window*, and of no others. In the training tweets each mention of *tv*, *telly* or
# *television* is made to be *tv* and *telly* in turn; so it is for three more groups. Then the tagger is
# trained with tuned vectors.

# %%
moved, _ = measure_synonyms(corpus.name, corpus.train, glove, config=SMALL, seeds=3)
show(draw_synonyms(moved))
print(WHY)
for line in synonyms_text(moved):
    print(line)
for group in moved:
    first, second, third = group.lengths()
    assert min(first, second) > 0.01
    assert third == 0

# %% [markdown]
# The words of the text move by a good part of their length, their near-synonym not at all. Whether that parts
# them is another matter: the cosines tell, with an interval over seeds, and some pairs come nearer. Ten
# mentions in a text are a small push, and it need not point away.
#
# ## 2. Where tuning hurts, and where it pays
#
# One F1 cannot show the pitfall: what tuning gives to words that training has seen hides what it takes from
# those that it has not. So they are scored apart. A few small runs here; `jaxbackprop pitfall --out DIR`
# takes all sentences, five seeds and the tagger's own size.

# %%
judged = corpus.dev + corpus.test
part = corpus.train[:400]
found = measure_pitfall(corpus.name, part, judged, glove, config=SMALL, seeds=3, updates=800)
show(draw_pitfall(found))
for line in verdict(found):
    print(line)
best = found.sizes[-1]
assert found.gain(best, "token F1", "unseen", over="random").mean > 0.05

# %% [markdown]
# The gap between the two lower curves is the pitfall: tuning gives more to words that training has seen than
# to those that it has not. Vectors learnt from this text alone are far behind on words not seen: they know
# nothing of them. So the first half of the lecture's advice, *use pretrained vectors*, is beyond doubt here.
# The second half, *do not tune them on little data*, depends on which words matter to you.
#
# ## 3. What to train
#
# The lecture decides by two things: how many words there are (below 100,000 do not fine-tune; from 1,000,000
# on it may help; from 100 million on train from scratch) and how similar the text is to that of the vectors.
# "Similar" needs a measure. This one asks: are words that stand together in the text nearer to one another in
# the vectors' space than words drawn from it at random? That, times the share of words that have a vector.
# Four texts, which a reader would put in this order:

# %%
tweets = [sentence.words for sentence in corpus.train]
rng = np.random.default_rng(0)


def foreign(share):
    return [[codecs.encode(w, "rot13") if rng.random() < share else w for w in words] for words in tweets]


everything = [word for words in tweets for word in words]
no_order = np.array_split(rng.permutation(everything), len(tweets))
texts = {
    "tweets": tweets,
    "every other word foreign": foreign(0.5),
    "the tweets' words in no order": no_order,
    "every word foreign": foreign(1),
}
values = []
for name, text in texts.items():
    similarity = measure_similarity(text, glove)
    values.append(similarity.value)
    advice = rule_of_thumb(similarity.words, similarity.value).value
    print(f"{name:30} words known {similarity.known_words:.0%}  similarity {similarity.value:.3f}  {advice}")
assert values[0] > 2 * values[1] > 2 * max(values[2:])

# %% [markdown]
# | | similar | dissimilar |
# |---|---|---|
# | large | classifier and last layers | retrain all, from the pretrained vectors |
# | small | new classifier only | augment the data |
#
# (The slide says of small and dissimilar data that training many layers *underfits*; it overfits.)
# `jaxbackprop advise --train FILE` does this for your text, tries all three regimes by cross-validation, and
# says when what it finds contradicts the rule of thumb.
