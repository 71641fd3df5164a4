"""A pretrained BERT made into a classifier of sentences: files -> model -> run folder, and back to labels.

Names load on first use, so that the command line reads the settings without importing jax.
"""

from typing import TYPE_CHECKING

from jaxbackprop._lazy import attach

if TYPE_CHECKING:
    from ._classifier import Classifier as Classifier
    from ._classifier import Prediction as Prediction
    from ._classifier import load_classifier as load_classifier
    from ._config import SHARED as SHARED
    from ._config import FinetuneConfig as FinetuneConfig
    from ._config import Settings as Settings
    from ._config import read_finetune_settings as read_finetune_settings
    from ._dataset import BertDataset as BertDataset
    from ._fit import classifier_loss as classifier_loss
    from ._fit import labels_loss as labels_loss
    from ._parts import POOLER as POOLER
    from ._parts import frozen_parts as frozen_parts
    from ._parts import part_of as part_of
    from ._run import finetune as finetune
    from ._run import weights_sha256 as weights_sha256
    from ._seeds import finetune_seeds as finetune_seeds
    from ._seeds import resume_finetune as resume_finetune
    from ._texts import MINI as MINI
    from ._texts import Texts as Texts
    from ._texts import locate as locate
    from ._texts import read_texts as read_texts
    from ._updates import make_updates as make_updates
    from ._updates import trainable as trainable

__getattr__, __dir__, __all__ = attach(
    __name__,
    names={
        "_classifier": ("Classifier", "Prediction", "load_classifier"),
        "_config": ("SHARED", "FinetuneConfig", "Settings", "read_finetune_settings"),
        "_dataset": ("BertDataset",),
        "_fit": ("classifier_loss", "labels_loss"),
        "_parts": ("POOLER", "frozen_parts", "part_of"),
        "_run": ("finetune", "weights_sha256"),
        "_seeds": ("finetune_seeds", "resume_finetune"),
        "_texts": ("MINI", "Texts", "locate", "read_texts"),
        "_updates": ("make_updates", "trainable"),
    },
)
