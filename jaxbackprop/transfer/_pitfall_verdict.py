"""What the pitfall's figures say, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ._pitfall import Pitfall

_PARTS = {"unseen": "words not seen in training", "seen": "words seen in training", "all": "all words"}


def hurts_and_pays(found: Pitfall) -> tuple[list[int], list[int]]:
    """The sizes at which tuning lowers token F1 on unseen words, and those at which it raises that on all.

    At each of them all of the 95% interval lies below, or above, 0.
    """
    hurts = [size for size in found.sizes if found.gain(size, "token F1", "unseen").below]
    pays = [size for size in found.sizes if found.gain(size, "token F1", "all").above]
    return hurts, pays


def verdict(found: Pitfall) -> Iterator[str]:
    """One sentence for each thing that the figures say, or do not say."""
    for part, words in _PARTS.items():
        gains = {size: found.gain(size, "token F1", part) for size in found.sizes}
        lower = [size for size, gain in gains.items() if gain.below]
        higher = [size for size, gain in gains.items() if gain.above]
        for sizes, verb in ((lower, "lowers"), (higher, "raises")):
            if sizes:
                most = _most(found, part, sizes)
                yield f"On {words}, tuning {verb} token F1 with {_listed(sizes)} sentences{most}."
        if not lower and not higher:
            yield f"On {words}, tuning changes token F1 at no size by more than the seeds differ."
    hurts, pays = hurts_and_pays(found)
    if hurts:
        yield f"Tuning starts to hurt words not seen at {hurts[0]:,} training sentences."
    if pays:
        yield f"Over all words it starts to pay at {pays[0]:,} training sentences."
    elif found.sizes:
        yield f"Over all words it does not pay for certain with up to {found.sizes[-1]:,} training sentences."
    apart = [size for size in found.sizes if found.gap(size).above]
    if apart:
        yield (
            f"Tuning gives words seen more than words not seen with {_listed(apart)} sentences "
            f"(at {apart[-1]:,}: {found.gap(apart[-1])}): that is the pitfall."
        )
    if len(found.sizes) > 1:
        yield (
            f"From {found.sizes[0]:,} to {found.sizes[-1]:,} sentences, what tuning gives words not seen "
            f"changes by {found.trend()}."
        )
    behind = [size for size in found.sizes if found.gain(size, "token F1", "unseen", over="random").above]
    if behind:
        yield (
            "Vectors learnt from this text alone are behind tuned ones on words not seen "
            f"with {_listed(behind)} sentences."
        )
    yield (
        f"Each interval holds by itself with 95%, over {found.seeds} seeds that differ in parameters and in "
        f"the sentences drawn; the {found.judged:,} sentences that are scored stay the same."
    )


def _most(found: Pitfall, part: str, sizes: Sequence[int]) -> str:
    largest = max(sizes, key=lambda size: abs(found.gain(size, "token F1", part).mean))
    frozen, tuned = (found.mean(kind, largest, "token F1", part) for kind in ("frozen", "tuned"))
    return f" (most at {largest:,}: from {frozen:.3f} to {tuned:.3f})"


def _listed(sizes: Sequence[int]) -> str:
    texts = [f"{size:,}" for size in sizes]
    return texts[0] if len(texts) == 1 else f"{'; '.join(texts[:-1])} and {texts[-1]}"
