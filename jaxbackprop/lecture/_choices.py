"""Units 1 and 3, by F1 of the tagger: tuned word vectors, relu first, SGD or an adaptive optimizer."""

from __future__ import annotations

from typing import Any

from ._claim import Claim, Effort, Figures, Outcome, Say, Verdict
from ._tagger import count_words
from ._training import COMMAND, better, compare, f1, f1_text, is_as_good, settings

_SATURATING, _RECTIFIERS = ("sigmoid", "tanh"), ("relu", "leaky_relu", "elu", "gelu")
_ADAPTIVE = ("adam", "radam", "adagrad", "rmsprop")
_SGD_RATES = (0.02, 0.2, 2.0)


def _tuned(effort: Effort, say: Say) -> dict[str, Any]:
    configs = {
        name: settings(effort, tune_vectors=tuned) for name, tuned in {"tuned": True, "frozen": False}.items()
    }
    return {"words": count_words(effort.sentences), **compare(configs, effort, say)}


def _do_not_tune(figures: Figures) -> Verdict:
    gain = better(figures, "tuned", "frozen")
    figure = f"{f1_text(figures, ('tuned', 'frozen'))}; {gain}"
    words = f"{figures['words']:,} training words"
    if figures["words"] >= 100_000:
        return Verdict(Outcome.UNDECIDED, figure, f"{words} are not below 100,000")
    if gain.below:
        return Verdict(Outcome.HOLDS, figure, f"with {words} tuning costs F1")
    if gain.above:
        return Verdict(Outcome.FAILS, figure, f"with {words} tuning gains F1")
    return Verdict(Outcome.UNDECIDED, figure, f"with {words} the seeds differ by more")


def _activations(effort: Effort, say: Say) -> dict[str, Any]:
    names = (*_SATURATING, *(_RECTIFIERS if effort.all_variants else _RECTIFIERS[:1]))
    return compare({name: settings(effort, activation=name) for name in names}, effort, say)


def _relu_first(figures: Figures) -> Verdict:
    others = [name for name in figures if name != "relu"]
    gains = {name: better(figures, "relu", name, len(others)) for name in others}
    figure = f1_text(figures, ["relu", *others])
    worse = [name for name, gain in gains.items() if gain.below]
    ahead = [name for name, gain in gains.items() if gain.above]
    if worse:
        return Verdict(
            Outcome.FAILS, figure, f"{', '.join(worse)} {_is(worse)} better, beyond the seeds' noise"
        )
    if all(name in ahead for name in _SATURATING):
        return Verdict(Outcome.HOLDS, figure, "better than sigmoid and tanh, and nothing is better than it")
    if ahead:
        return Verdict(
            Outcome.IN_PART, figure, f"better than {', '.join(ahead)}; the others cannot be told apart"
        )
    return Verdict(
        Outcome.UNDECIDED, figure, "with one hidden layer the seeds differ by more than activations"
    )


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _optimizers(effort: Effort, say: Say) -> dict[str, Any]:
    configs = {f"sgd {rate:g}": settings(effort, optimizer="sgd", lr=rate) for rate in _SGD_RATES}
    configs["momentum"] = settings(effort, optimizer="momentum")
    names = _ADAPTIVE if effort.all_variants else _ADAPTIVE[:1]
    configs |= {name: settings(effort, optimizer=name) for name in names}
    return compare(configs, effort, say)


def _best(figures: Figures, names: list[str]) -> str:
    return max(names, key=lambda name: f1(figures, name))


def _sides(figures: Figures) -> tuple[list[str], str, str]:
    """The rates of SGD, the best of them, and the best adaptive optimizer."""
    rates = [name for name in figures if name.startswith("sgd ")]
    return rates, _best(figures, rates), _best(figures, [name for name in figures if name in _ADAPTIVE])


def _sgd_is_enough(figures: Figures) -> Verdict:
    rates, sgd, adaptive = _sides(figures)
    behind = better(figures, sgd, adaptive)
    figure = f"{f1_text(figures, [*rates, adaptive])}; {sgd} against {adaptive} {behind}"
    tuning = [better(figures, sgd, rate, len(rates)).above for rate in rates if rate != sgd]
    if behind.below:
        return Verdict(
            Outcome.FAILS, figure, f"even at its best rate SGD is behind {adaptive} after these epochs"
        )
    if not is_as_good(behind):
        return Verdict(Outcome.UNDECIDED, figure, "the seeds differ by too much to say that it is not behind")
    if any(tuning):
        return Verdict(Outcome.HOLDS, figure, "tuned, it is not behind; ten times beside that rate it is")
    return Verdict(Outcome.IN_PART, figure, "it is not behind, but its rate makes no difference either")


def _adaptive_is_better(figures: Figures) -> Verdict:
    _, sgd, _ = _sides(figures)
    names = [name for name in figures if name in _ADAPTIVE]
    gains = {name: better(figures, name, sgd, len(names)) for name in names}
    apart = ", ".join(f"{name} {gain}" for name, gain in gains.items())
    figure = f"{f1_text(figures, [sgd, *names])}; above {sgd}: {apart}"
    ahead = [name for name in names if gains[name].above]
    if len(ahead) == len(names):
        return Verdict(Outcome.HOLDS, figure, "each at its default rate, against the best of SGD's")
    if ahead:
        return Verdict(Outcome.IN_PART, figure, f"only {', '.join(ahead)}, beyond the seeds' noise")
    behind = [name for name in names if gains[name].below]
    if behind:
        why = f"none is ahead of SGD at its best rate, and {', '.join(behind)} {_is(behind)} behind it"
        return Verdict(Outcome.FAILS, figure, why)
    return Verdict(
        Outcome.UNDECIDED,
        figure,
        "the seeds differ by more than adaptive optimizers from SGD at its best rate",
    )


CLAIMS = (
    Claim(
        "tuning-vectors",
        1,
        "A pitfall when retraining word vectors",
        "With fewer than 100,000 training words, do not tune word vectors.",
        _tuned,
        _do_not_tune,
        f"{COMMAND} --freeze-vectors",
    ),
    Claim(
        "relu-first",
        3,
        "Activation Function",
        "Try relu first: it is simple and good.",
        _activations,
        _relu_first,
        f"{COMMAND} --activation relu",
    ),
    Claim(
        "sgd-is-enough",
        3,
        "Optimizer",
        "SGD is usually enough, once its learning rate is tuned.",
        _optimizers,
        _sgd_is_enough,
        f"{COMMAND} --optimizer sgd --lr 0.2",
    ),
    Claim(
        "adaptive-is-better",
        3,
        "Optimizer",
        "Adaptive optimizers do better.",
        _optimizers,
        _adaptive_is_better,
        f"{COMMAND} --optimizer adam",
    ),
)
