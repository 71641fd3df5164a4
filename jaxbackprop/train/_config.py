"""Every setting of a training run, with its default, its range and its help text, in one place."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from ._mesh import parse_mesh
from ._model_settings import LEARNING_RATES, MODELS, default_of, learning_rate, refuse_of_other
from ._setting import checked, flag
from ._setting import setting as _setting

OPTIMIZERS = tuple(LEARNING_RATES)
# Those that have a momentum to be set.
WITH_MOMENTUM = ("momentum", "nesterov")
SCHEDULES = ("constant", "halving", "exponential", "cosine", "cyclic", "plateau")
MONITORS = ("loss", "dev_f1", "dev_accuracy")
PLATEAU_MODES = ("auto", "min", "max")
CYCLIC_MODES = ("triangular", "triangular2", "exp_range")
ACTIVATIONS = (
    *("tanh", "hardtanh", "sigmoid"),
    *("relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "softplus"),
)
INITS = ("xavier", "he", "uniform:R", "zeros")
DECODES = ("valid", "greedy")
DTYPES = ("float32", "bfloat16")
TASKS = ("spans", "tags")
SCHEMES = ("IO", "BIO", "IOB1", "IOB2", "IOE", "BIOES", "BILOU", "BMES")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of `jaxbackprop train`; the flag of ``batch_size`` is ``--batch-size``, and so on.

    Raises:
        ValueError: a setting out of its range, named by its flag.
        TypeError: a setting of the wrong type, named by its flag.
    """

    train: str | None = _setting(
        None,
        str,
        "training sentences, CoNLL style (default: built-in); or a pattern in quotes, 'DIR/*.conll', of "
        "files to be streamed: tokenized once into the user's cache folder and read from there as they are "
        "needed, be they larger than memory. Files whose names end in .gz are decompressed",
        metavar="FILE",
    )
    dev: str | None = _setting(
        None,
        str,
        "development sentences, with --train; or a pattern of files, all read into memory",
        metavar="FILE",
    )
    test: str | None = _setting(None, str, "test sentences, with --train; may be left out", metavar="FILE")
    columns: str | None = _setting(
        None,
        str,
        "columns of the files, from 1, such as word=2,tag=3 (default: what the file says, or first and last)",
        metavar="COLUMNS",
    )
    scheme: str | None = _setting(
        None, str, "how the tags of the files mark entities (default: told by the tags)", choices=SCHEMES
    )
    model: str = _setting(
        "window",
        str,
        "what tags: a classifier of windows of words, or a pretrained BERT that is fine-tuned",
        choices=MODELS,
    )
    encoder: str = _setting(
        None,
        str,
        "of --model bert: an asset, or a Hugging Face folder of a BERT (default: bert-mini)",
        metavar="DIR|bert-mini",
    )
    freeze: str | None = _setting(
        None,
        str,
        "of --model bert: parts that keep their parameters: embeddings, layers:0-3 (from 0, at the bottom), "
        "or bert for all but the new layer",
        metavar="PARTS",
    )
    max_length: int = _setting(
        64,
        int,
        "of --model bert: pieces of words that it reads at a time; longer sentences are cut between words",
        least=4,
        most=4096,
    )
    task: str = _setting(
        "spans", str, "entities, or tags of single words such as parts of speech", choices=TASKS
    )
    vectors: str = _setting(
        "glove", str, "word vectors: random, glove, or a file of GloVe or word2vec text", metavar="NAME|FILE"
    )
    tune_vectors: bool = _setting(True, bool, "train the word vectors too, or leave them as they are")
    min_count: int = _setting(2, int, "a word without a vector that is rarer counts as unknown", least=1)
    word_dim: int = _setting(50, int, "length of random word vectors", least=1, most=4096)

    window: int = _setting(2, int, "words on either side of the one classified", least=0, most=64)
    shape_dim: int = _setting(5, int, "length of the capitalisation vectors, 0 for none", least=0, most=4096)
    affix_dim: int = _setting(
        10, int, "length of the vectors of first and last letters, 0 for none", least=0, most=4096
    )
    hidden: int = _setting(300, int, "hidden units", least=1, most=65536)
    activation: str = _setting("tanh", str, "of the hidden layer", choices=ACTIVATIONS)
    init: str | None = _setting(
        None,
        str,
        "initial weights of the linear layers; those of uniform:R lie between -R and R (default: he before "
        "relu and its kin, else xavier)",
        metavar="|".join(INITS),
    )
    batch_norm: bool = _setting(False, bool, "normalise what enters the activation over the batch")
    dropout: float = _setting(0.5, float, "probability of dropping a hidden unit", least=0, below=1)
    input_dropout: float = _setting(
        0.3, float, "probability of dropping a number of the input", least=0, below=1
    )
    l2: float = _setting(
        1e-5,
        float,
        "strength of the L2 penalty on the weights, whose gradient goes through the optimizer",
        least=0,
        most=1e30,
    )

    optimizer: str = _setting(
        None,
        str,
        "how a gradient becomes an update (default: adam; adamw with --model bert)",
        choices=OPTIMIZERS,
    )
    momentum: float = _setting(0.9, float, "of --optimizer momentum and nesterov", least=0, below=1)
    weight_decay: float = _setting(
        None,
        float,
        "decoupled decay: each update takes this, times the learning rate, off the weights that --l2 "
        "penalises. The gradient of --l2 is divided by the size of past ones under adam; this is not "
        "(default: 0.01 for adamw, else 0)",
        least=0,
        most=1e30,
    )
    clip_norm: float | None = _setting(
        None,
        float,
        "scale all gradients down together where their norm is above this (default: never; 1 with --model "
        "bert)",
        above=0,
        most=1e30,
    )
    lr: float = _setting(
        None,
        float,
        "learning rate, the highest one of its schedule (default: by optimizer and model)",
        above=0,
        most=1e30,
    )
    schedule: str = _setting(
        None,
        str,
        "how the learning rate changes (default: cyclic; cosine with --model bert)",
        choices=SCHEDULES,
    )
    warmup_epochs: float = _setting(
        None,
        float,
        "epochs over which it first rises from 0, on a straight line (default: 0; with --model bert a tenth "
        "of --epochs, but at most 0.3)",
        least=0,
        most=1e6,
    )
    min_lr: float = _setting(
        None,
        float,
        "lowest learning rate of --schedule halving, exponential, cosine and plateau (default: 1e-5 for "
        "plateau, else 0)",
        least=0,
        most=1e30,
    )
    base_lr: float = _setting(
        None,
        float,
        "lowest learning rate of --schedule cyclic (default: a twentieth of --lr)",
        least=0,
        most=1e30,
    )
    cycle_epochs: float = _setting(16.0, float, "epochs in a cycle of --schedule cyclic", above=0, most=1e6)
    cyclic_mode: str = _setting("triangular", str, "of --schedule cyclic", choices=CYCLIC_MODES)
    gamma: float = _setting(1.0, float, "factor an update of --cyclic-mode exp_range", above=0, most=1)
    base_momentum: float | None = _setting(
        None,
        float,
        "momentum at the highest learning rate of --schedule cyclic, towards which --momentum falls as the "
        "rate rises (default: it stays)",
        least=0,
        below=1,
    )
    halve_every: float = _setting(
        5.0, float, "epochs between halvings of --schedule halving", above=0, most=1e6
    )
    decay: float = _setting(0.1, float, "k of --schedule exponential, lr exp(-k epochs)", least=0, most=1e30)

    plateau_monitor: str = _setting(
        "loss",
        str,
        "figure of an epoch that --schedule plateau watches; dev_accuracy with --task tags",
        choices=MONITORS,
    )
    plateau_mode: str = _setting(
        "auto", str, "whether it is to fall (min) or rise (max); auto: loss falls", choices=PLATEAU_MODES
    )
    plateau_factor: float = _setting(
        0.25, float, "what the learning rate is multiplied by where it no longer does", above=0, below=1
    )
    plateau_min_delta: float = _setting(
        1e-4, float, "a change of no more than this is none", least=0, most=1e30
    )
    plateau_patience: int = _setting(
        2,
        int,
        "epochs without a better one that are let pass; the next lowers the rate, as torch counts",
        least=0,
    )
    plateau_cooldown: int = _setting(0, int, "epochs after that which do not count", least=0)

    dtype: str = _setting(
        "float32",
        str,
        "what the model computes in; parameters, their updates, batch statistics and the loss are float32 "
        "all the same",
        choices=DTYPES,
    )
    batch_size: int = _setting(
        None,
        int,
        "words a batch (default: 128); with --model bert sentences (default: 16)",
        least=1,
    )
    average: float = _setting(
        None,
        float,
        "decay of the running average of the parameters that is kept, 0 for none (default: 0.997; 0 with "
        "--model bert)",
        least=0,
        below=1,
    )
    epochs: int = _setting(
        None, int, "passes over the training words (default: 16; 6 with --model bert)", least=1
    )
    patience: int = _setting(
        None, int, "stop after so many epochs in a row without a better dev score (default: never)", least=1
    )
    save_every: int = _setting(None, int, "steps between checkpoints (default: one an epoch)", least=1)
    keep: int = _setting(2, int, "checkpoints that are kept", least=1)
    mesh: str | None = _setting(
        None,
        str,
        "devices to split the work over: data=4 splits each batch, data=2,model=2 large tables too (default: "
        "one device)",
        metavar="AXES",
    )
    seed: int = _setting(0, int, "of initial parameters, batches and dropout", least=0, most=2**31 - 1)
    decode: str = _setting(
        None,
        str,
        "best valid sequence of tags, or best tag a word (default: valid, or greedy with --task tags)",
        choices=DECODES,
    )

    def __post_init__(self) -> None:
        for setting in fields(self):
            object.__setattr__(self, setting.name, checked(setting, getattr(self, setting.name)))
        # A frozen dataclass fills in what depends on another setting through object.__setattr__.
        for name in ("optimizer", "schedule", "epochs", "batch_size", "average", "clip_norm", "encoder"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, default_of(self.model, name))
        if self.lr is None:
            object.__setattr__(self, "lr", learning_rate(self.model, self.optimizer))
        if self.warmup_epochs is None:
            warmup = min(0.3, self.epochs / 10) if self.model == "bert" else 0.0
            object.__setattr__(self, "warmup_epochs", warmup)
        if self.base_lr is None:
            object.__setattr__(self, "base_lr", self.lr / 20)
        if self.weight_decay is None:
            object.__setattr__(self, "weight_decay", 0.01 if self.optimizer == "adamw" else 0.0)
        if self.min_lr is None:
            object.__setattr__(self, "min_lr", min(1e-5, self.lr) if self.schedule == "plateau" else 0.0)
        if self.decode is None:
            object.__setattr__(self, "decode", "valid" if self.task == "spans" else "greedy")
        if self.task == "tags" and (self.scheme is not None or self.decode == "valid"):
            given = "--scheme" if self.scheme is not None else "--decode valid"
            raise ValueError(f"{given} is of entities: --task tags has none")
        if self.train is None and (self.columns, self.scheme, self.task) != (None, None, "spans"):
            given = next(flag(name) for name in ("columns", "scheme", "task") if getattr(self, name))
            raise ValueError(f"{given} needs --train: the built-in corpus is read as it is")
        if self.train is None and (self.dev is not None or self.test is not None):
            given = "--dev" if self.dev is not None else "--test"
            raise ValueError(f"{given} needs --train: files replace the built-in corpus as a whole")
        if self.train is not None and self.dev is None:
            raise ValueError("--train needs --dev: the best epoch is chosen on development data")
        refuse_of_other(
            self.model,
            [one.name for one in fields(self) if getattr(self, one.name) not in (one.default, None)],
        )
        if self.encoder == "":
            raise ValueError("--encoder must be bert-mini or a folder, not empty")
        self._refuse_rates()
        if self.init is not None:
            split_init(self.init)
        if self.mesh is not None:
            parse_mesh(self.mesh)
        if not self.vectors:
            raise ValueError("--vectors must be random, glove or a file, not empty")

    def _refuse_rates(self) -> None:
        """Looks at learning rate, schedule and momentum together."""
        if self.schedule == "cyclic" and self.base_lr > self.lr:
            raise ValueError(f"--base-lr must be at most --lr ({self.lr:g}), not {self.base_lr:g}")
        if self.min_lr > self.lr:
            raise ValueError(f"--min-lr must be at most --lr ({self.lr:g}), not {self.min_lr:g}")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"--warmup-epochs must be below --epochs ({self.epochs}), not {self.warmup_epochs:g}"
            )
        if self.base_momentum is not None:
            if self.schedule != "cyclic" or self.optimizer not in WITH_MOMENTUM:
                needed = " or ".join(WITH_MOMENTUM)
                raise ValueError(f"--base-momentum needs --schedule cyclic and --optimizer {needed}")
            if self.base_momentum > self.momentum:
                said = f"--momentum ({self.momentum:g}), not {self.base_momentum:g}"
                raise ValueError(f"--base-momentum must be at most {said}")
        if self.plateau_monitor not in ("loss", "dev_f1" if self.task == "spans" else "dev_accuracy"):
            raise ValueError(
                f"--plateau-monitor {self.plateau_monitor} is not a figure of --task {self.task}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Config:
        """The settings from what :meth:`to_dict` gave; one that is missing takes its default.

        So runs that were made before there was a setting stay readable.

        Raises:
            ValueError: a setting is unknown or out of range.
            TypeError: a setting has the wrong type.
        """
        if unknown := settings.keys() - {setting.name for setting in fields(cls)}:
            raise ValueError(f"settings hold the unknown {', '.join(sorted(unknown))}")
        return cls(**settings)


def split_init(text: str) -> tuple[str, float]:
    """The name in an ``init`` setting, and the bound of ``uniform``; 0 for others.

    Raises:
        ValueError: it is none of them.
    """
    name, colon, bound = text.partition(":")
    if name == "uniform":
        try:
            r = float(bound)
        except ValueError:
            r = math.nan
        if not 0 < r < math.inf:
            raise ValueError(f"--init uniform:R needs a number R above 0, not {bound!r}")
        return name, r
    if colon or text not in INITS:
        raise ValueError(f"--init must be one of {', '.join(INITS)}, not {text!r}")
    return text, 0.0
