"""What `bench check` found, as rows like those of the other benchmarks: ours beside one checker a row."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ._measure import Row

# Outcomes are rounded to milliseconds.
_LEAST_SECONDS = 0.0005


def rows_of(found: Mapping[str, Any]) -> list[Row]:
    """One row a kind of rule (right, wrong, one entry among many) and peer: how long they take.

    Args:
        found: what `check` returns.
    """
    return [row for row, _ in _summaries(found)]


def json_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same for the file, with who raised how many alarms, and then one a rule and peer.

    Beside the keys that all benchmarks have, a row of several rules says how many `rules` there are and how
    many alarms each raised (`ours_alarms`, `peer_alarms`); a wrong rule's alarm is a catch, a right one's is
    false. A row of one rule says what is wrong with it (`mistakes`, `wrong_arguments`) and what each answered
    (`ours_found`, `peer_found`).

    Args:
        found: what `check` returns.
    """
    us, *peers = found["checkers"]
    lines = [row.as_json() | more for row, more in _summaries(found)]
    for outcome in found["outcomes"]:
        known = {"mistakes": outcome["mistakes"], "wrong_arguments": outcome["wrong_arguments"]}
        for peer in peers:
            row = _row(outcome["case"], peer, [outcome[us]], [outcome[peer]])
            lines.append(row.as_json() | known | {"ours_found": outcome[us], "peer_found": outcome[peer]})
    return lines


def _summaries(found: Mapping[str, Any]) -> list[tuple[Row, dict[str, Any]]]:
    us, *peers = found["checkers"]
    kinds = {
        "right rules": [outcome for outcome in found["outcomes"] if not outcome["mistakes"]],
        "wrong rules": [outcome for outcome in found["outcomes"] if outcome["mistakes"]],
    }
    named = ("arguments_exact", "first_label", "first_three")
    ours = {f"ours_{key}": value for key, value in found["checkers"][us].items() if key in named}
    summaries = []
    for kind, outcomes in kinds.items():
        for peer in peers:
            if outcomes:
                mine, theirs = ([outcome[name] for outcome in outcomes] for name in (us, peer))
                more = _alarms(mine, theirs) | (ours if kind == "wrong rules" else {})
                summaries.append((_row(f"{len(outcomes)} {kind}", peer, mine, theirs), more))
    one_entry = found["one_entry"]
    for rule in one_entry.get(us, {}):
        for peer in peers:
            if peer in one_entry:
                mine, theirs = [one_entry[us][rule]], [one_entry[peer][rule]]
                row = _row(f"one entry of many: {rule}", peer, mine, theirs)
                summaries.append((row, _alarms(mine, theirs)))
    return summaries


def _alarms(mine: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {
        "rules": len(mine),
        "ours_alarms": sum(outcome["alarm"] for outcome in mine),
        "peer_alarms": sum(outcome["alarm"] for outcome in theirs),
    }


def _row(case: str, peer: str, mine: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> Row:
    my, their = ([max(outcome["seconds"], _LEAST_SECONDS) for outcome in side] for side in (mine, theirs))
    ratios = [b / a for a, b in zip(my, their, strict=True)]
    return Row(
        "check",
        case,
        peer,
        1e3 * statistics.median(my),
        1e3 * statistics.median(their),
        (min(ratios), statistics.median(ratios), max(ratios)),
        None,
    )
