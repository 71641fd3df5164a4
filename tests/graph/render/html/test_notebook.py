"""The page in a notebook."""

import html
import re

import jax
import jax.numpy as jnp

from jaxbackprop.graph import trace
from tests.graph.render.html.pages import long, slide


def test_a_notebook_shows_the_page_in_a_frame():
    graph = trace(slide, 1.0, 2.0, 0.0)
    framed = graph._repr_html_()
    found = re.fullmatch(r'<iframe ([^>]*?) srcdoc="([^"]*)"></iframe>', framed, re.DOTALL)
    assert 'sandbox="allow-scripts"' in found[1]
    assert html.unescape(found[2]) == graph.to_html(check=False)
    assert len(framed) < 150_000


def test_a_notebook_shows_a_picture_where_a_page_is_too_much():
    called = []

    def calls_back(x):
        jax.debug.callback(called.append, x)
        return x * 2.0

    graph = trace(calls_back, 1.0)
    assert graph._repr_html_() is None
    assert not called
    assert trace(lambda x: long(x, 160), jnp.ones(2))._repr_html_() is None
