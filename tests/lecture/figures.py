"""For every claim: figures by which it holds, and false ones, by which its judge must say no."""

from jaxbackprop.lecture import Effort

TINY = Effort("tiny", 2, 1, 40, 0.001, 40, 30, 2, False)


def scores(dev, train=None, last=0.1, spread=0.002, seeds=5):
    """A setting's figures: F1 near `dev` for each of some seeds, and the loss of its last epoch."""
    wave = [spread * (-1) ** seed * (1 + seed / 10) for seed in range(seeds)]
    return {
        "dev F1": [dev + each for each in wave],
        "train F1": [(dev if train is None else train) - each for each in wave],
        "losses": [[1.0, last]] * seeds,
    }


def rates(loss):
    """The losses of a network by learning rate, a seed each; at the larger rate it diverged."""
    return {"0.1": [loss + seed / 1000 for seed in range(5)], "1": [float("nan")] * 5}


def powers(f1, losses, spread=0.002):
    """By optimizer and learning rate."""
    rates = {"sgd": ("0.001", "0.01", "0.1", "1", "10"), "adam": ("1e-05", "0.0001", "0.001", "0.01", "0.1")}
    return {
        f"{optimizer} {rate}": scores(each, last=loss, spread=spread if rate == "0.01" else -spread)
        for optimizer, names in rates.items()
        for rate, each, loss in zip(names, f1[optimizer], losses, strict=True)
    }


RIGHT = {"error": 1e-10}
WRONG = {"error": 0.5}
SOONER, LATER = {"without": 0.5, "with": 0.4}, {"without": 0.4, "with": 0.5}
SLOW_AND_WILD, HARMLESS = (2.0, 0.5, 0.1, 0.2, float("nan")), (0.1, 0.1, 0.1, 0.1, 0.1)
BEST_AT_A_HUNDREDTH = {"sgd": (0.1, 0.4, 0.3, 0.2, 0.0), "adam": (0.0, 0.1, 0.3, 0.4, 0.0)}
BEST_ELSEWHERE = {"sgd": (0.0, 0.1, 0.4, 0.2, 0.0), "adam": (0.0, 0.1, 0.4, 0.1, 0.0)}

# name -> (true, false)
FIGURES = {
    "weight-gradient": (RIGHT, WRONG),
    "softmax-gradient": (RIGHT, WRONG),
    "window-gradient": (
        RIGHT | {"gradient of other words": 0.0},
        RIGHT | {"gradient of other words": 0.1},
    ),
    "tuning-vectors": (
        {"words": 30_000, "tuned": scores(0.3), "frozen": scores(0.4)},
        {"words": 30_000, "tuned": scores(0.4), "frozen": scores(0.3)},
    ),
    "forward-and-backward": (
        {
            "weights": [100, 200, 400],
            "forward multiplications": [1000, 2000, 4000],
            "backward multiplications": [2000, 4000, 8000],
            "backward over forward, time": [2.0, 2.0, 2.0],
        },
        {
            "weights": [100, 200, 400],
            "forward multiplications": [1000, 2000, 4000],
            "backward multiplications": [2000, 8000, 32000],
            "backward over forward, time": [2.0, 4.0, 8.0],
        },
    ),
    "numerical-cost": (
        {
            "weights": [100, 200, 400],
            "multiplications of differences": [10_000, 40_000, 160_000],
            "multiplications of backpropagation": [300, 600, 1200],
            "differences over backpropagation, time": [50.0, 100.0, 200.0],
        },
        {
            "weights": [100, 200, 400],
            "multiplications of differences": [10_000, 20_000, 40_000],
            "multiplications of backpropagation": [300, 600, 1200],
            "differences over backpropagation, time": [50.0, 50.0, 50.0],
        },
    ),
    "one-sweep": (
        {
            "layers": 7,
            "operations, one sweep": 1e6,
            "operations, one at a time": 4e6,
            "operations, one at a time in one program": 1e6,
        },
        {
            "layers": 7,
            "operations, one sweep": 1e6,
            "operations, one at a time": 1e6,
            "operations, one at a time in one program": 1e6,
        },
    ),
    "difference-order": (
        {"e": [1e-3, 1e-2], "forward": [1e-3, 1e-2], "central": [1e-6, 1e-4]},
        {"e": [1e-3, 1e-2], "forward": [1e-3, 1e-2], "central": [1e-3, 1e-2]},
    ),
    "sigmoid-slope": (
        {"largest slope": 0.25, "gradient": 1e-12, "layers": 20},
        {"largest slope": 0.3, "gradient": 1e-12, "layers": 20},
    ),
    "dying-relu": (
        {"rates": [0.01, 10.0], "dead": [[0.0, 0.0], [0.8, 0.9]]},
        {"rates": [0.01, 10.0], "dead": [[0.1, 0.1], [0.1, 0.1]]},
    ),
    "largest-eigenvalue": (
        {
            "steps": 50,
            "linear": {"explodes above 1": 1.0, "vanishes below 1": 1.0},
            "relu": {"explodes above 1": 0.95, "vanishes below 1": 1.0},
        },
        {
            "steps": 50,
            "linear": {"explodes above 1": 0.5, "vanishes below 1": 1.0},
            "relu": {"explodes above 1": 0.5, "vanishes below 1": 1.0},
        },
    ),
    "batch-norm": (
        {f"{name}, {side}": rates(loss) for name in ("10 layers", "tagger") for side, loss in SOONER.items()},
        {f"{name}, {side}": rates(loss) for name in ("10 layers", "tagger") for side, loss in LATER.items()},
    ),
    "bias-and-variance": (
        {"strengths": [0.0, 0.1, 1.0], "squared bias": [0.0, 0.2, 1.0], "variance": [2.0, 1.0, 0.1]},
        {"strengths": [0.0, 0.1, 1.0], "squared bias": [0.5, 0.5, 0.5], "variance": [1.0, 1.0, 2.0]},
    ),
    "l2-against-overfitting": (
        {"λ 0": scores(0.3, 0.9), "λ 0.001": scores(0.4, 0.6)},
        {"λ 0": scores(0.4, 0.6), "λ 0.001": scores(0.3, 0.9)},
    ),
    "dropout-against-overfitting": (
        {"without": scores(0.3, 0.9), "with": scores(0.4, 0.6)},
        {"without": scores(0.4, 0.6), "with": scores(0.3, 0.9)},
    ),
    "matrix-product": (
        {"NumPy, times": [11.0, 12.0, 14.0], "jit, times": [3.0, 3.0, 3.0]},
        {"NumPy, times": [0.9, 1.0, 1.1], "jit, times": [1.0, 1.0, 1.0]},
    ),
    "tanh-is-sigmoid": ({"value": 1e-7, "slope": 0.0}, {"value": 0.1, "slope": 0.0}),
    "cost-of-exp": (
        {
            "alone": {"sigmoid": 3.0, "tanh": 3.0, "elu": 1.0, "gelu": 1.0},
            "in a layer": {"sigmoid": 2.0, "tanh": 2.0, "elu": 1.0, "gelu": 1.0},
        },
        {
            "alone": {"sigmoid": 1.0, "tanh": 1.0, "elu": 1.0, "gelu": 1.0},
            "in a layer": {"sigmoid": 1.0, "tanh": 1.0, "elu": 1.0, "gelu": 1.0},
        },
    ),
    "relu-first": (
        {"sigmoid": scores(0.3), "tanh": scores(0.35), "relu": scores(0.4), "gelu": scores(0.4)},
        {"sigmoid": scores(0.3), "tanh": scores(0.5), "relu": scores(0.4), "gelu": scores(0.4)},
    ),
    "random-start": (
        {
            "units": 16,
            "zeros": {"different units": 1, "loss": 1.1},
            "all alike": {"different units": 1, "loss": 1.0},
            "random": {"different units": 16, "loss": 0.1},
        },
        {
            "units": 16,
            "zeros": {"different units": 16, "loss": 0.1},
            "all alike": {"different units": 16, "loss": 0.1},
            "random": {"different units": 16, "loss": 0.1},
        },
    ),
    "bounds-of-r": (
        {
            "small": {"r": 0.01, "gradient": 1e-20, "saturated": 0.0},
            "xavier": {"r": 0.1, "gradient": 0.2, "saturated": 0.0},
            "large": {"r": 1.0, "gradient": 1e7, "saturated": 0.8},
        },
        {
            "small": {"r": 0.01, "gradient": 0.5, "saturated": 0.0},
            "xavier": {"r": 0.1, "gradient": 0.5, "saturated": 0.0},
            "large": {"r": 1.0, "gradient": 0.5, "saturated": 0.0},
        },
    ),
    "xavier": (
        {"layers": 20, **dict.fromkeys(("linear", "tanh", "relu"), {"signal": 1.0, "gradient": 1.0})},
        {"layers": 20, **dict.fromkeys(("linear", "tanh", "relu"), {"signal": 1e-6, "gradient": 1.0})},
    ),
    "sgd-is-enough": (
        {"sgd 0.02": scores(0.1), "sgd 0.2": scores(0.4), "momentum": scores(0.4), "adam": scores(0.4)},
        {"sgd 0.02": scores(0.1), "sgd 0.2": scores(0.2), "momentum": scores(0.2), "adam": scores(0.4)},
    ),
    "adaptive-is-better": (
        {"sgd 0.2": scores(0.2), "adam": scores(0.4), "radam": scores(0.4)},
        {"sgd 0.2": scores(0.4), "adam": scores(0.2), "radam": scores(0.2)},
    ),
    "a-hundredth": (
        powers(BEST_AT_A_HUNDREDTH, SLOW_AND_WILD),
        powers(BEST_ELSEWHERE, SLOW_AND_WILD),
    ),
    "too-small-too-large": (
        powers(BEST_AT_A_HUNDREDTH, SLOW_AND_WILD),
        powers(BEST_AT_A_HUNDREDTH, HARMLESS),
    ),
    "falling-rate": (
        {"constant": scores(0.3), "halving": scores(0.4), "cyclic": scores(0.4)},
        {"constant": scores(0.4), "halving": scores(0.3), "cyclic": scores(0.3)},
    ),
}
