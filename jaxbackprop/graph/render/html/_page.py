"""The page: picture, paragraphs, table, values and script in one HTML document."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jaxbackprop._version import __version__

from ..._graph import ComputationGraph, Node, Port
from ...passes import Backward, Run
from .._edge_values import Passes
from .._node_text import symbol
from .._text import error_text, shortened
from .._value_text import dimensions_text, dtype_text
from ._complete_passes import complete_passes
from ._findings import finding_list, finding_records, first_step, fitting, legend, marks
from ._fold_layout import FoldLayout
from ._health import HealthReport
from ._labels import Labels, code, html_text, where
from ._narration import Step, narrated_steps
from ._table import table
from ._value_table import ValueTable
from ._verdicts import Verdict, verdicts

_SCRIPTS = ("data.js", "place.js", "health.js", "draw.js", "value.js", "detail.js", "play.js")
_NAME_LENGTH, _FORMULA_LENGTH = 80, 400
# With more steps than this the browser lays paragraphs out only when they are scrolled to.
_LONG = 400


def page(
    graph: ComputationGraph,
    run: Run | Backward | None = None,
    *,
    check: bool = True,
    health: HealthReport | None = None,
) -> str:
    """A graph as one HTML page that steps forward and backward through it.

    The page needs no other file, opens no connection and runs no code but its own. Its picture shows at most
    300 boxes: scopes fold and unfold. The lower half of a node's box is about its gradient. All steps are
    also described in paragraphs and listed in a table.

    Args:
        graph: what to show.
        run: a `Backward`, or a `Run`. Missing passes are run where the graph was traced with arguments; the
            backward pass then begins with ones.
        check: whether to ask the harness about hand-written VJPs that are not this package's own. Where one
            is wrong the page opens at the step where the backward pass first meets it. Takes about a second
            a rule.
        health: the doctor's `Report` of this graph, or of another trace of the same function at the same
            shapes. Its findings mark their nodes. A missing backward pass begins as the report's did.

    Returns:
        The document.

    Raises:
        TypeError: where run is none of these, or health is no report.
        ValueError: where run or health is of another graph.
    """
    report = fitting(graph, health)
    passes, remark = complete_passes(graph, run, None if report is None else report.upstream())
    wrong = verdicts(graph, passes.run) if check and passes.run is not None else {}
    labels, values = Labels(graph), ValueTable(graph, passes)
    steps = narrated_steps(graph, passes, values, labels, wrong)
    levels = FoldLayout(graph, values.texts, labels).records()
    first, marked = _first_wrong(steps, wrong), marks(report)
    data = {
        "name": shortened(graph.name, _NAME_LENGTH),
        "nodes": [_node(node, values, labels, wrong, marked) for node in graph.nodes],
        "results": [
            [shortened(name, _NAME_LENGTH), port.node, port.output]
            for name, port in zip(labels.results, graph.outputs, strict=True)
        ],
        "values": values.records(),
        "levels": levels,
        "steps": [[int(step.backward), step.node] for step in steps],
        "findings": finding_records(report),
        "opens": first or first_step(report, steps),
    }
    script, style = _script(), _asset("page.css") + _asset("health.css")
    return _filled(
        {
            "policy": _policy(script, style),
            "title": f"{html_text(shortened(graph.name, _NAME_LENGTH))}: computation graph",
            "style": style,
            "name": code(graph.name),
            "lede": _lede(graph, passes),
            "alerts": _alerts(graph, wrong, first, remark),
            "findings": finding_list(report, graph, steps),
            "legend": legend(report),
            "steps": _paragraphs(steps),
            "table": table(graph, values, labels),
            "version": html_text(__version__),
            "data": _json(data),
            "script": script,
        }
    )


def _node(
    node: Node,
    values: ValueTable,
    labels: Labels,
    wrong: Mapping[int, Verdict],
    marked: Mapping[int, list[int]],
) -> dict[str, Any]:
    ports = [Port(node.index, k) for k in range(len(node.outputs))]
    found: dict[str, Any] = {
        "name": shortened(labels.name(node), _NAME_LENGTH),
        "kind": node.kind,
        "sign": shortened(symbol(node), _NAME_LENGTH),
        "from": [
            [port.node, port.output, int(flows), shortened(labels.origin(port), _NAME_LENGTH)]
            for port, flows in zip(
                node.inputs, node.active_inputs or (False,) * len(node.inputs), strict=True
            )
        ],
        "made": [[dimensions_text(tuple(made.shape)), dtype_text(made.dtype)] for made in node.outputs],
        "values": [values.values.get(port, -1) for port in ports],
        "gradients": [values.gradients.get(port, -1) for port in ports],
    }
    kept = values.residuals(node)
    optional = {
        "gate": node.gate if any(node.active) else None,
        "rule": shortened(node.formula, _FORMULA_LENGTH) if node.formula else None,
        "line": where(node.source),
        "function": node.source.function.rsplit(".", 1)[-1] if node.source else None,
        "scope": "/".join(node.scope),
        "inside": sum(len(body.nodes) for body in node.bodies),
        "kept": [[shortened(name, _NAME_LENGTH), index] for name, index in kept.items()],
        "wrong": wrong[node.index].message if node.index in wrong else None,
        "ails": marked.get(node.index),
    }
    return found | {name: value for name, value in optional.items() if value}


def _first_wrong(steps: Sequence[Step], wrong: Mapping[int, Verdict]) -> int:
    """The step, from 1, at which the backward pass first meets a wrong rule; 0 where it meets none."""
    return next((n for n, step in enumerate(steps, start=1) if step.backward and step.node in wrong), 0)


# ---- text -------------------------------------------------------------------------------------------------


def _lede(graph: ComputationGraph, passes: Passes) -> str:
    count = f"{len(graph.nodes):,} node{'s' * (len(graph.nodes) != 1)}"
    backward = "" if passes.back is None else ", then its gradients in the reverse order"
    known = "" if passes.run is None else " What is not computed yet stays blank."
    return f"{count}, computed one after another in topological order{backward}.{known}"


def _alerts(graph: ComputationGraph, wrong: Mapping[int, Verdict], first: int, remark: str) -> str:
    said = []
    opens = f' The page opens at <a href="#step-{first}">step {first}</a>, where the backward pass meets it.'
    for index in sorted(wrong, reverse=True) if first else wrong:
        verdict = wrong[index]
        like = f" It looks like: {html_text(', '.join(verdict.mistakes[:3]))}." if verdict.mistakes else ""
        said.append(
            f'<p class="alert"><strong>Wrong gradient at {code(graph.nodes[index].name)}.</strong> '
            f"The harness says of the rule of {code(verdict.name)}: {html_text(verdict.message)}."
            f"{like}{opens}</p>"
        )
        opens = ""
    if graph.error is not None:
        said.append(
            f'<p class="alert"><strong>The function failed</strong> while it was traced, and its graph ends '
            f"there: {html_text(shortened(error_text(graph.error), 300))}</p>"
        )
    elif remark:
        said.append(f'<p class="remark">{html_text(shortened(remark, 300))}</p>')
    return "\n".join(said)


def _paragraphs(steps: Sequence[Step]) -> str:
    parts = []
    for backward, title in ((False, "Forward"), (True, "Backward")):
        of_pass = [(n, step) for n, step in enumerate(steps, start=1) if step.backward == backward]
        if of_pass:
            items = "".join(
                f'<li id="step-{n}" value="{n}"><a href="#step-{n}" aria-label="Step {n}">{n}</a>'
                f"<p>{step.text}</p></li>"
                for n, step in of_pass
            )
            kind = "gradient" if backward else "value"
            parts.append(
                f'<div class="pass"><h3 class="{kind}">{title}</h3>'
                f'<ol start="{of_pass[0][0]}">{items}</ol></div>'
            )
    kind = "passes long" if len(steps) > _LONG else "passes"
    return f'<div class="{kind}">{"".join(parts)}</div>'


# ---- the file ---------------------------------------------------------------------------------------------


@functools.cache
def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _script() -> str:
    """The page's script, its parts in one function, so that it defines no global names."""
    return "(() => {\n'use strict';\n" + "".join(map(_asset, _SCRIPTS)) + "})();\n"


def _policy(script: str, style: str) -> str:
    """The content security policy: this page's own script and style, and nothing else."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(data: Any) -> str:
    """JSON in which no text can end the script element."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _filled(parts: Mapping[str, str]) -> str:
    """The template with its places filled in one pass, so that inserted text is never read as a place."""
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _asset("page.html"))
