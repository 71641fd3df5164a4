"""Functions to make pages of, and pages taken apart."""

import dataclasses
import json
from html.parser import HTMLParser

import jax
import jax.numpy as jnp
from hypothesis import strategies as st

from jaxbackprop.graph import trace

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)> \"'&amp; \ud800\x00"


def slide(x, y, z):
    """The lecture's example."""
    return (x + y) * jnp.maximum(y, z)


@jax.custom_vjp
def right(x):
    return jnp.tanh(x)


right.defvjp(lambda x: (jnp.tanh(x),) * 2, lambda y, dy: ((1 - y * y) * dy,))


@jax.custom_vjp
def wrong(x):
    return x**3


wrong.defvjp(lambda x: (x**3, x), lambda x, dy: (2 * x**2 * dy,))


def layered(x, depth=2):
    for block in range(depth):
        with jax.named_scope(f"block {block}"):
            for layer in range(2):
                with jax.named_scope(f"layer {layer}"):
                    x = jnp.tanh(x) * 0.5 + x
    return jnp.sum(x)


def long(x, length):
    for _ in range(length):
        x = jnp.sin(x) * 0.5
    return jnp.sum(x)


X = jax.random.normal(jax.random.key(0), (8, 6))


def ailing(params, x):
    """A log of 0 and dead units, a grave finding each, behind saturated units, a mild one."""
    with jax.named_scope("encoder"):
        y = jnp.tanh(x @ params["W"] * 50)
    with jax.named_scope("head"):
        y = jnp.tanh(y @ params["W"]) + jnp.log(y * 0) + jax.nn.relu(y - 9.0)
    return jnp.mean(y), jnp.sum(y)


PARAMS = {"W": jax.random.normal(jax.random.key(1), (6, 6))}


class Read(HTMLParser):
    """A page taken apart: texts by tag and class, attributes, and what is in style and script elements."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.style, self.rows, self.steps = [], [], "", [], {}
        self._in, self._step = [], None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "input", "path", "link", "br"):
            self._in.append(tag)
        if tag == "script":
            self.scripts.append("")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag == "li":
            self._step = int(dict(attributes)["value"])
            self.steps[self._step] = ""

    def handle_endtag(self, tag):
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, text):
        if self._in and self._in[-1] == "script":
            self.scripts[-1] += text
        elif self._in and self._in[-1] == "style":
            self.style += text
        elif "td" in self._in or "th" in self._in:
            self.rows[-1][-1] += text
        elif "li" in self._in and "p" in self._in:
            self.steps[self._step] += text

    @property
    def data(self):
        return json.loads(self.scripts[0])


def page(f, *args, **options):
    return Read(trace(f, *args).to_html(**options))


def renamed(graph, name):
    nodes = tuple(
        dataclasses.replace(
            node,
            name=f"{name}{node.index}",
            label=name,
            scope=(name,),
            gate=node.gate and "g" + name,
            formula="dx = " + name,
        )
        for node in graph.nodes
    )
    return dataclasses.replace(graph, name=name, nodes=nodes)


def skeleton(text):
    """The tags of a page, and the attributes that could do something."""
    active = ("src", "href", "onerror", "onload", "style", "http-equiv")
    return [
        (tag, [a for a in attributes if a in active or a.startswith("on")])
        for tag, attributes in Read(text).tags
    ]


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)
