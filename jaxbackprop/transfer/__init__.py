"""Transfer: what pretrained word vectors are worth, when to tune them, and what that does to unseen words.

Three regimes (lecture, unit 1): *pre-trained* vectors are used as they are (frozen); *fine-tuning* goes on
from them and changes them for the task (tuned); *retraining* learns them from the start, from the text at
hand (random).
"""

from typing import TYPE_CHECKING

from jaxbackprop._lazy import attach

if TYPE_CHECKING:
    from ._advice import Advice as Advice
    from ._advice import advise as advise
    from ._pitfall import MEASURES as MEASURES
    from ._pitfall import Pitfall as Pitfall
    from ._pitfall import measure_pitfall as measure_pitfall
    from ._pitfall_figure import draw_pitfall as draw_pitfall
    from ._pitfall_verdict import verdict as verdict
    from ._rule import Strategy as Strategy
    from ._rule import rule_of_thumb as rule_of_thumb
    from ._runs import KINDS as KINDS
    from ._runs import REGIMES as REGIMES
    from ._runs import tags_of as tags_of
    from ._similarity import Similarity as Similarity
    from ._similarity import measure_similarity as measure_similarity
    from ._synonyms import GROUPS as GROUPS
    from ._synonyms import WHY as WHY
    from ._synonyms import Moved as Moved
    from ._synonyms import measure_synonyms as measure_synonyms
    from ._synonyms_figure import draw_synonyms as draw_synonyms
    from ._synonyms_figure import synonyms_text as synonyms_text

__getattr__, __dir__, __all__ = attach(
    __name__,
    names={
        "_advice": ("Advice", "advise"),
        "_pitfall": ("MEASURES", "Pitfall", "measure_pitfall"),
        "_pitfall_figure": ("draw_pitfall",),
        "_pitfall_verdict": ("verdict",),
        "_rule": ("Strategy", "rule_of_thumb"),
        "_runs": ("KINDS", "REGIMES", "tags_of"),
        "_similarity": ("Similarity", "measure_similarity"),
        "_synonyms": ("GROUPS", "WHY", "Moved", "measure_synonyms"),
        "_synonyms_figure": ("draw_synonyms", "synonyms_text"),
    },
)
