"""Run folders as training leaves them, without training."""

import json

from jaxbackprop.train import Config, RunFolder


def make_run(
    path, scores=(0.1, 0.3, 0.2), *, test=0.25, ends="finished", speed=100.0, corpus="a", **settings
):
    """A run of so many epochs; it ends as `ends` says ("running" leaves it held, and is given back)."""
    config = Config(**{"epochs": len(scores), **settings})
    name = "f1" if config.task == "spans" else "accuracy"
    folder = RunFolder.take(path)
    folder.__enter__()
    parts = dict.fromkeys(("train", "dev", "test"), {"sha256_of_words_and_tags": corpus})
    folder.write_json("config.json", {"format": 1, "settings": config.to_dict(), "corpus": parts})
    folder.write_json("vocabulary.json", {})
    folder.seal()
    for epoch, score in enumerate(scores, start=1):
        folder.append_metrics({"epoch": epoch, "step": 10 * epoch, "loss": 1 / epoch, f"dev_{name}": score})
    if ends == "running":
        return folder
    if ends == "finished":
        scored = {"micro avg": {"f1": test}} if name == "f1" else {"accuracy": test}
        results = {"best_epoch": 2, "steps_per_second": speed} | ({} if test is None else {"test": scored})
        folder.write_json("results.json", results)
    if ends == "killed":
        folder.release()
    else:
        folder.say(ends, **({"why": "the loss is nan at step 7"} if ends == "failed" else {}))
        folder.release()
    return path


def make_seeds(path, runs, count, ends="finished", **settings):
    """A folder of `count` seeds from 0 on; `runs` has what `make_run` takes for those that have begun."""
    folder = RunFolder.take(path)
    folder.__enter__()
    config = Config(**settings)
    folder.write_json("seeds.json", {"seeds": list(range(count)), "settings": config.to_dict()})
    for seed, arguments in enumerate(runs):
        make_run(path / f"seed-{seed}", **{**settings, **arguments}, seed=seed)
    folder.say(ends)
    folder.release()
    return path


def write_manifest_anew(path, **settings):
    """Changes settings of a run, and its checksums with them."""
    folder = RunFolder(path)
    record = json.loads((path / "config.json").read_text())
    record["settings"].update(settings)
    folder.write_json("config.json", record)
    folder.seal()
    folder.release()
