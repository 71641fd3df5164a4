"""The page with the findings of the doctor: list, marked nodes, scopes around them, what is refused."""

import dataclasses
from html.parser import HTMLParser
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings

from jaxbackprop.doctor import health
from jaxbackprop.graph import Backward, trace
from tests.doctor.models import batch, mlp
from tests.graph.render.html.pages import (
    ANY_TEXT,
    HOSTILE,
    PARAMS,
    Read,
    X,
    ailing,
    contrast,
    skeleton,
    slide,
)

SIGMOIDS, LOSS = mlp((20, *(16,) * 20, 5), jax.nn.sigmoid)


def said(page):
    """The list at the top of a page: a text a finding, and the addresses in it."""

    class Items(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.found = False, []
            self.feed(page[page.index('<section class="findings"') : page.index("<main>")])

        def handle_starttag(self, tag, attributes):
            if tag == "li":
                self.open = True
                self.found.append(["", []])
            elif tag == "a":
                self.found[-1][1].append(dict(attributes)["href"])

        def handle_endtag(self, tag):
            self.open = self.open and tag != "li"

        def handle_data(self, text):
            if self.open:
                self.found[-1][0] += text

    return Items().found


def test_twenty_sigmoids_are_listed_marked_and_opened_at():
    report = health(LOSS, SIGMOIDS, *batch())
    page = report.graph.to_html(health=report)
    data = Read(page).data
    (finding,) = report.findings
    ((text, links),) = said(page)
    assert text.startswith("vanishing at logistic ")
    assert finding.message in text
    assert finding.remedy in text
    assert [node["name"] for node in data["nodes"] if "ails" in node] == ["logistic"]
    assert data["findings"] == [
        {
            "kind": "vanishing",
            "look": "mild",
            "name": "logistic",
            "message": finding.message,
            "remedy": finding.remedy,
        }
    ]
    steps = [data["steps"][int(link.removeprefix("#step-")) - 1] for link in links]
    assert steps == [[0, finding.node.index], [1, finding.node.index]]
    # A gradient that vanishes is seen in the backward pass.
    assert data["steps"][data["opens"] - 1] == [1, finding.node.index]


def test_a_node_bears_all_its_findings_the_worst_first_and_every_node_of_a_finding_is_marked(ailing_report):
    data = Read(ailing_report.graph.to_html(health=ailing_report)).data
    assert [f["kind"] for f in data["findings"]] == [f.kind for f in ailing_report.findings]
    assert {f["kind"]: f["look"] for f in data["findings"]} == {
        "nonfinite": "grave",
        "dead": "grave",
        "saturated": "mild",
    }
    for node, shown in zip(ailing_report.graph.nodes, data["nodes"], strict=True):
        of_node = [ailing_report.findings.index(finding) for finding in ailing_report.of(node).findings]
        assert shown.get("ails", []) == of_node
        assert ("ails" in shown) == (ailing_report.severities[node.name] == "finding")
    assert data["nodes"][ailing_report.findings[0].node.index]["name"] == "log"
    # A value that is no number is seen in the forward pass.
    assert data["steps"][data["opens"] - 1] == [0, ailing_report.findings[0].node.index]


def test_what_lies_inside_a_loop_is_marked_at_the_loop():
    def looped(params, x):
        def step(h, _):
            return jnp.log(h * 0) + params["W"] @ h, None

        return jnp.sum(jax.lax.scan(step, x, None, length=3)[0])

    report = health(looped, PARAMS, X[0])
    data = Read(report.graph.to_html(health=report)).data
    assert data["findings"][0]["name"].startswith("scan/")
    assert [node["name"] for node in data["nodes"] if 0 in node.get("ails", [])] == ["scan"]


def test_another_trace_of_the_function_takes_the_findings(ailing_report):
    again = trace(ailing, PARAMS, X)
    assert again is not ailing_report.graph
    assert said(again.to_html(health=ailing_report)) == said(
        ailing_report.graph.to_html(health=ailing_report)
    )


def test_the_backward_pass_begins_as_the_doctors_does():
    graph = trace(lambda x: (jnp.sum(x**2), x), jnp.array([1.0, 2.0]))
    report = health(lambda x: (jnp.sum(x**2), x), jnp.array([1.0, 2.0]))
    page = graph.to_html(health=report)
    assert "begins at the first result, the loss, alone" in page
    assert "The gradient of x is [2, 4]." in Read(page).steps.values()
    run = graph.forward().backward((1.0, jnp.ones(2)))
    assert isinstance(run, Backward)
    assert "The gradient of x is [3, 5]." in Read(graph.to_html(run=run, health=report)).steps.values()


def test_a_healthy_report_says_so_and_marks_nothing():
    report = health(lambda x: jnp.sum(x**2), X)
    page = report.graph.to_html(health=report)
    assert "The doctor finds nothing wrong here." in page
    assert (Read(page).data["findings"], Read(page).data["opens"]) == ([], 0)
    assert "octagon" not in page
    assert "The doctor" not in trace(slide, 1.0, 2.0, 0.0).to_html()


def test_a_long_list_is_folded_away_after_three(ailing_report):
    many = dataclasses.replace(ailing_report, findings=ailing_report.findings * 3)
    page = many.graph.to_html(health=many)
    assert len(said(page)) == 9
    before, after = page.split("<summary>6 more</summary>")
    assert before.count("<li class=") == 3
    assert after[: after.index("<main>")].count("<li class=") == 6


def test_a_report_of_another_make_is_read_by_its_attributes():
    graph = trace(slide, 1.0, 2.0, 0.0)
    node = graph.node("mul")
    finding = SimpleNamespace(
        kind="vanishing",
        name="mul",
        source=node.source,
        message="too small",
        remedy="more",
        nodes=(node,),
        outer=(),
    )
    report = SimpleNamespace(graph=graph, findings=[finding], upstream=lambda: [jnp.float32(2.0)])
    page = graph.to_html(health=report)
    ((text, links),) = said(page)
    assert "too small. Try more." in text.replace(".Try", ". Try")
    assert len(links) == 2
    assert Read(page).data["findings"][0]["look"] == "mild"
    # The missing backward pass begins as the report's did.
    assert "with the gradient of output: 2." in Read(page).steps[8]


def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, ailing_report):
    graph = trace(slide, 1.0, 2.0, 0.0)
    with pytest.raises(TypeError, match="health must be a Report of the doctor or None, got dict"):
        graph.to_html(tmp_path / "f.html", health={})
    with pytest.raises(ValueError, match="health is of a graph of ailing"):
        graph.to_html(tmp_path / "f.html", health=ailing_report)
    with pytest.raises(ValueError, match="health is of a graph of ailing"):
        trace(ailing, PARAMS, X[:5]).to_html(tmp_path / "f.html", health=ailing_report)
    assert not list(tmp_path.iterdir())


def worded(ailing_report, text):
    """The report with a text in the place of every text."""
    findings = tuple(
        dataclasses.replace(finding, name=text, message=text, remedy=text)
        for finding in ailing_report.findings
    )
    return dataclasses.replace(ailing_report, findings=findings)


@given(ANY_TEXT)
@settings(max_examples=10, deadline=None)
def test_findings_of_any_text_are_text(ailing_report, text):
    page = ailing_report.graph.to_html(health=worded(ailing_report, text), check=False)
    page.encode()
    assert skeleton(page) == skeleton(
        ailing_report.graph.to_html(health=worded(ailing_report, "text"), check=False)
    )


def test_hostile_findings_are_text(ailing_report):
    page = ailing_report.graph.to_html(health=worded(ailing_report, HOSTILE))
    assert page.count("</script>") == page.count("<script") == 2
    assert not [tag for tag, _ in Read(page).tags if tag == "img"]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_marks_have_contrast(scheme, ailing_report):
    style = Read(ailing_report.graph.to_html(health=ailing_report)).style
    block = style.split(":root {")[1 + scheme].split("}")[0]
    colour = dict(part.strip().removeprefix("--").split(": ") for part in block.split(";") if "--" in part)
    for mark in ("grave", "mild"):
        low = min(contrast(colour[mark], colour[ground]) for ground in ("card", "paper", "alert", "scope"))
        assert low >= 4.5
