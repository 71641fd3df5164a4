"""The page in Chromium, without a network: it steps, folds, shows the right numbers, and serves everybody."""

import dataclasses
import json
import re

import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.graph import trace
from tests.graph.render import axe, chromium
from tests.graph.render.html.pages import HOSTILE, layered, long, renamed, right, slide, wrong

PATH = chromium.find()
pytestmark = [
    pytest.mark.skipif(PATH is None, reason="there is no Chromium here (Debian: apt install chromium)"),
    pytest.mark.xdist_group("chromium"),
    pytest.mark.exhaustive,
]
MOST_BOXES = 300


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = chromium.Browser(PATH, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def axe_core(request):
    try:
        return axe.script(request.config.cache.mkdir("axe-core"))
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture
def show(browser, tmp_path):
    """Opens the page of a graph from disk; nothing may have been complained of when the test ends."""
    opened = []

    def show(graph, fragment="", run=None, **options):
        path = tmp_path / f"page{len(opened)}.html"
        graph.to_html(path, run, check=options.pop("check", True), health=options.pop("health", None))
        page = browser.open(f"{path.as_uri()}{fragment}", **options)
        opened.append(page)
        return page

    yield show
    for page in opened:
        assert page.complaints() == []
        assert {url.split("/")[-1].split("#")[0] for url in page.requests()} <= {
            f"page{n}.html" for n in range(len(opened))
        }
        page.close()


SLIDE = trace(slide, 1.0, 2.0, 0.0)


def shown(page, kind):
    """The texts on the picture's lines that are not blank."""
    code = f"[...document.querySelectorAll('#picture .on.{kind}')].map((e) => e.textContent).filter(Boolean)"
    return sorted(page.evaluate(code))


def state(page):
    return page.evaluate("document.getElementById('count').textContent")


def detail(page):
    return " ".join(page.evaluate("document.getElementById('detail').innerText").split())


def test_step_by_step_the_numbers_appear_and_none_before_it_is_computed(show):
    page = show(SLIDE)
    expected_values = [[], ["1"], ["1", "2"], ["1", "2", "2", "2"], ["0", "1", "2", "2", "2"]]
    expected_values += [["0", "1", "2", "2", "2", "3"], ["0", "1", "2", "2", "2", "2", "3"]]
    everything = ["0", "1", "2", "2", "2", "2", "3", "6"]
    for step in range(16):
        assert state(page) == f"Step {step} of 15"
        values = expected_values[step] if step < 7 else everything
        assert shown(page, "value") == values
        gradients = {8: ["1"], 9: ["1", "2", "3"], 10: ["0", "1", "2", "3", "3"]}
        seen = {11: ["0", "1", "2", "2", "2", "3", "3"], 12: ["0", "1", "2", "2", "2", "3", "3"]}
        full = sorted([*seen[11], "5"])
        wanted = [] if step < 8 else (gradients | seen).get(step, full)
        assert shown(page, "gradient") == [f"← {text}" for text in wanted]
        page.click("#next")
    assert page.evaluate("document.getElementById('next').getAttribute('aria-disabled')") == "true"
    assert state(page) == "Step 15 of 15"


def test_what_is_not_computed_is_blank_in_the_details_too(show):
    page = show(SLIDE)
    page.click("[data-node='6']")
    numbers = "[...document.querySelectorAll('#detail .number')].map((e) => e.textContent)"
    assert page.evaluate(numbers) == []
    assert "not computed yet" in detail(page)
    assert "swap multiplier" in detail(page)
    assert "da = b dy, db = a dy" in detail(page)
    page.press("End")
    page.click("[data-node='6']")
    page.evaluate("document.querySelectorAll('#detail details').forEach((e) => { e.open = true; })")
    assert page.evaluate(numbers) == ["6", "3", "2", "1", "2", "3", "3", "2"]
    assert "not computed yet" not in detail(page)


def test_a_fan_out_is_written_as_a_sum(show):
    page = show(SLIDE, "#step-13")
    assert re.search(r"dy, from add 2 \+ dy, from max 3 adds up to = the sum, to y 5", detail(page))
    assert "2 from add + 3 from max = 5" in page.evaluate("document.getElementById('told').innerText")


def test_keys_do_all_that_buttons_do(show):
    page = show(SLIDE)
    page.press("ArrowRight")
    page.press("ArrowRight")
    page.press("ArrowLeft")
    assert state(page) == "Step 1 of 15"
    page.press("End")
    assert state(page) == "Step 15 of 15"
    page.press("Home")
    assert state(page) == "Step 0 of 15"
    page.press("p")
    assert page.evaluate("document.getElementById('play').innerText.trim()") == "Pause"
    page.press("p")
    assert page.evaluate("document.getElementById('play').innerText.trim()") == "Play"
    assert state(page) == "Step 1 of 15"


def test_the_picture_is_walked_by_keys(show):
    page = show(SLIDE, "#step-15")
    page.evaluate("document.getElementById('scroll').focus()")
    page.press("Tab")
    name = "document.activeElement.querySelector('title').textContent"
    assert page.evaluate(name) == "x; argument; value 1; gradient 2"
    for _ in range(6):
        page.press("ArrowDown")
    assert page.evaluate(name) == "mul; ×; swap multiplier; value 6; gradient 1"
    page.press("ArrowUp")
    page.press("Enter")
    assert detail(page).startswith("max")
    assert page.evaluate("document.querySelectorAll('#picture [tabindex=\"0\"]').length") == 1


def test_every_step_has_an_address(show):
    page = show(SLIDE, "#step-9")
    assert state(page) == "Step 9 of 15"
    page.press("ArrowRight")
    assert page.evaluate("location.hash") == "#step-10"
    page.evaluate("location.hash = '#step-3'")
    assert page.evaluate("new Promise((done) => setTimeout(done, 50))") is None
    assert state(page) == "Step 3 of 15"
    page.click("#steps li:nth-child(2) a")
    assert state(page) == "Step 2 of 15"
    page.evaluate("location.hash = '#step-99'")
    page.evaluate("new Promise((done) => setTimeout(done, 50))")
    assert state(page) == "Step 15 of 15"


def test_the_slider_steps(show):
    page = show(SLIDE)
    page.evaluate("document.getElementById('slider').focus()")
    for _ in range(3):
        page.press("ArrowRight")
    assert state(page) == "Step 3 of 15"


# ---- folding ----------------------------------------------------------------------------------------------


def count(page):
    return page.evaluate("document.querySelectorAll('#picture .box').length")


def test_scopes_unfold_and_fold_and_cover_nothing(show):
    page = show(trace(lambda x: layered(x, 8), jnp.ones(4)))
    page.click("#fold")
    folded = count(page)
    page.click("#picture .scope")
    assert count(page) > folded
    assert page.evaluate("document.querySelectorAll('#picture .frame').length") == 1
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    page.click("#unfold")
    rectangles = page.evaluate(
        "[...document.querySelectorAll('#picture .box')].map((e) => { const b = e.getBBox();"
        "return [b.x, b.y, b.x + b.width, b.y + b.height]; })"
    )
    found = np.array(rectangles)
    assert 40 < len(found) <= MOST_BOXES
    apart = (found[:, None, :2] < found[None, :, 2:]).all(-1)
    assert (apart & apart.T).sum() == len(found)
    page.click("#fold")
    assert count(page) == folded
    assert page.evaluate("document.querySelectorAll('#picture .frame').length") == 0


def test_a_frame_folds_by_key(show):
    page = show(trace(lambda x: layered(x, 8), jnp.ones(4)))
    before = count(page)
    page.evaluate("document.querySelector('#picture .scope').focus()")
    page.press("Enter")
    opened = count(page)
    page.press("Enter")
    assert (opened > before, count(page)) == (True, before)


def test_two_thousand_nodes_open_folded_and_never_show_more_than_three_hundred(show):
    graph = trace(lambda x: long(x, 680), jnp.ones(2))
    assert len(graph.nodes) > 2000
    page = show(graph)
    assert 1 < count(page) <= 100
    page.click("#unfold")
    assert 100 < count(page) <= MOST_BOXES
    for step in (1, 900, 2000, 3000):
        page.evaluate(f"location.hash = '#step-{step}'")
        page.evaluate("new Promise((done) => setTimeout(done, 60))")
        assert page.evaluate("document.querySelectorAll('#picture [aria-current=step]').length") == 1
        assert count(page) <= MOST_BOXES


def test_a_step_in_a_folded_scope_is_unfolded_by_its_address(show):
    graph = trace(lambda x: layered(x, 12), jnp.ones(4))
    step = graph.node("tanh_20").index + 1
    page = show(graph, f"#step-{step}")
    assert (
        page.evaluate("document.querySelector('#picture [aria-current=step] .label').textContent") == "tanh"
    )


def test_values_with_many_entries_have_a_heat_map_and_figures(show):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 16)), jnp.float32)
    page = show(trace(lambda x: jnp.sum(x * 2.0), x), "#step-1")
    labels = page.evaluate(
        "[...document.querySelectorAll('#detail [role=img]')].map((e) => e.getAttribute('aria-label'))"
    )
    assert labels[0].startswith("Heat-map of f32[8,16]")
    assert labels[1].startswith("Histogram from")
    figures = page.evaluate("[...document.querySelectorAll('#detail .figures dd')].map((e) => e.innerText)")
    assert [float(text) for text in figures] == pytest.approx(
        [float(x.min()), float(x.mean()), float(x.max())], rel=1e-3
    )


def test_it_opens_at_the_first_wrong_rule(show):
    page = show(trace(lambda x: jnp.sum(right(wrong(x))), jnp.array([0.3, -0.7])))
    assert state(page) == "Step 8 of 9"
    assert detail(page).startswith("wrong")
    assert "Wrong gradient" in detail(page)
    assert page.evaluate("document.querySelector('#picture .flag').textContent") == "wrong gradient"


# ---- findings ---------------------------------------------------------------------------------------------

MARKS = """[...document.querySelectorAll('#picture .box')].filter((e) => e.querySelector('.mark')).map((e) =>
  [e.querySelector('.label, .sign').textContent, e.querySelector('.mark').getAttribute('class'),
   e.querySelector('.badge').textContent])"""


def test_findings_mark_their_nodes_and_folded_scopes_the_worst_of_them(show, ailing_report):
    page = show(ailing_report.graph, health=ailing_report)
    # It opens at the most serious, and the panel says what it is and what may help.
    assert page.evaluate("document.querySelector('#picture [aria-current=step] .badge').textContent") == (
        "nonfinite"
    )
    worst = ailing_report.findings[0]
    assert f"nonfinite: {worst.message}. Try {worst.remedy}." in detail(page)
    page.click("#unfold")
    assert sorted(page.evaluate(MARKS)) == [
        ["log", "mark grave", "nonfinite"],
        ["relu", "mark grave", "dead"],
        ["tanh", "mark mild", "saturated"],
    ]
    page.click("#fold")
    assert page.evaluate(MARKS) == [
        ["encoder", "mark mild", "saturated"],
        ["head", "mark grave", "nonfinite"],
    ]
    title = "document.querySelectorAll('#picture .box.scope title')[1].textContent"
    assert "the worst finding in it nonfinite" in page.evaluate(title)


def test_the_list_of_findings_is_walked_by_keys(show, ailing_report):
    page = show(ailing_report.graph, health=ailing_report)
    page.evaluate("document.querySelector('.findings li:last-child a').focus()")
    page.press("Enter")
    node = ailing_report.findings[-1].node
    assert state(page).startswith(f"Step {node.index + 1} of")
    assert detail(page).startswith(node.name)


# ---- inert ------------------------------------------------------------------------------------------------


def test_hostile_names_run_nothing(show):
    graph = trace(lambda x: {HOSTILE: x[HOSTILE] * 2.0}, {HOSTILE: jnp.ones(3)})
    page = show(renamed(graph, HOSTILE))
    page.press("End")
    assert page.evaluate("document.title.endsWith(': computation graph')")
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate("document.scripts.length") == 2


def test_the_policy_blocks_the_network_and_other_scripts(browser, tmp_path):
    SLIDE.to_html(tmp_path / "page.html")
    page = browser.open((tmp_path / "page.html").as_uri())
    blocked = page.evaluate(
        """new Promise((done) => {
          const met = [];
          document.addEventListener("securitypolicyviolation", (e) => {
            met.push(e.effectiveDirective);
            if (met.length === 3) done(met.sort());
          });
          fetch("https://example.org/").catch(() => {});
          const image = new Image();
          image.src = "https://example.org/a.png";
          const script = document.createElement("script");
          script.textContent = "window.broken = 1";
          document.body.append(script);
        })"""
    )
    assert blocked == ["connect-src", "img-src", "script-src-elem"]
    assert page.evaluate("window.broken") is None
    page.close()


# ---- for everybody ----------------------------------------------------------------------------------------

PAGES = {
    "slide": (SLIDE, "#step-11"),
    "untouched": (SLIDE, ""),
    "scopes": (trace(lambda x: layered(x, 4), jnp.ones((6, 7))), "#step-30"),
    "wrong": (trace(lambda x: jnp.sum(wrong(x)), jnp.array([0.3, -0.7])), ""),
    "findings": None,
}


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (390, False), (390, True)])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_violation(show, axe_core, ailing_report, name, width, dark):
    report = None
    if name == "findings":
        report = dataclasses.replace(ailing_report, findings=ailing_report.findings * 2)
    graph, fragment = PAGES[name] or (report.graph, "")
    page = show(graph, fragment, width=width, height=844, dark=dark, health=report)
    page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    page.evaluate(f"{axe_core}; 0")
    found = json.loads(
        page.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations.map("
            "(v) => [v.id, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200))])))"
        )
    )
    assert found == []


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_is_no_wider_than_the_window(show, width):
    page = show(trace(lambda x: layered(x, 4), jnp.ones((6, 7))), "#step-30", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_reduced_motion_is_kept_still(show):
    moving = "getComputedStyle(document.querySelector('.storey')).transitionDuration"
    assert show(SLIDE, still=True).evaluate(moving) == "0s"
    assert show(SLIDE, still=False).evaluate(moving) != "0s"


def test_it_prints_its_numbers_even_untouched(show):
    page = show(SLIDE)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown(page, "gradient")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown(page, "value") == []
    page.prefer(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('.bar')).display") == "none"
    assert page.pdf().startswith(b"%PDF")


def test_without_scripts_the_words_and_the_table_are_there(browser, tmp_path):
    SLIDE.to_html(tmp_path / "page.html")
    page = browser.open("about:blank")
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    page.go((tmp_path / "page.html").as_uri())
    page.send("Emulation.setScriptExecutionDisabled", value=False)
    text = page.evaluate("document.body.innerText")
    assert "add, a distributor, receives 2" in text
    assert "2 + 3 = 5" in text
    assert page.evaluate("document.getElementById('player').offsetHeight") == 0
    page.close()


def test_in_a_notebooks_frame_it_steps(browser, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><title>notebook</title>{SLIDE._repr_html_()}", encoding="utf-8")
    page = browser.open(path.as_uri())
    (frame,) = page.send("Page.getFrameTree")["frameTree"]["childFrames"]
    world = page.send("Page.createIsolatedWorld", frameId=frame["frame"]["id"])["executionContextId"]

    def inside(code):
        return page.send("Runtime.evaluate", expression=code, contextId=world)["result"].get("value")

    for _ in range(9):
        inside("document.getElementById('next').click()")
    inside("document.querySelector('#steps li:nth-child(3) a').click()")
    inside("document.getElementById('next').click()")
    assert inside("document.getElementById('count').textContent") == "Step 4 of 15"
    assert page.complaints() == []
    assert page.evaluate("location.hash") == ""
    page.close()
