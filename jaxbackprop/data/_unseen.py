"""Tags of other text that training did not have: nothing can be right about them."""

from collections.abc import Callable, Iterable, Sequence

from ._errors import DataError
from ._sentence import Sentence

# So many are named in a message.
_NAMED = 10


def compare_tags(
    known: Iterable[str], sentences: Sequence[Sentence], *, name: str, task: str, warn: Callable[[str], None]
) -> None:
    """Holds the tags of some text against those of training.

    Args:
        known: the tags of training.
        sentences: the text.
        name: of the text, such as its file.
        task: `spans`, where types of entities are compared, or `tags`.
        warn: told, in one line, of those that training lacks.

    Raises:
        DataError: the two have none in common.
    """
    what = "entity types" if task == "spans" else "tags"
    learnt = _compared(known, task)
    found = _compared((tag for sentence in sentences for tag in sentence.tags), task)
    lacking = [tag for tag in found if tag not in learnt]
    if not lacking:
        return
    if len(lacking) == len(found):
        raise DataError(
            f"{name}: expected {what} of the training sentences, {_listed(learnt)},"
            f" got {_listed(found)} alone"
        )
    warn(f"{name}: {what} that training lacks, and that count as missed: {_listed(lacking)}")


def _compared(tags: Iterable[str], task: str) -> list[str]:
    if task == "tags":
        return sorted(set(tags))
    return sorted({tag[2:] for tag in tags if tag != "O"})


def _listed(tags: Sequence[str]) -> str:
    more = f" and {len(tags) - _NAMED} more" if len(tags) > _NAMED else ""
    return ", ".join(tags[:_NAMED]) + more
