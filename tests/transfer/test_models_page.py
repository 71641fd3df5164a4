"""The page on what the lecture's pretrained models transfer."""

import re
from pathlib import Path

import jaxbackprop.transfer

PAGE = (Path(jaxbackprop.transfer.__file__).parent / "MODELS.md").read_text(encoding="utf-8")
# As the slide lists them.
SLIDE = ("ULMFiT", "Transformer", "BERT", "Transformer-XL", "GPT-2", "ELMo", "Flair", "StanfordNLP")


def test_each_model_of_the_slide_has_a_paragraph_and_a_source_with_its_year():
    sections = dict(re.findall(r"^## ([^\n]+)\n\n(.+?)(?=\n## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
    for model in SLIDE:
        (text,) = [text for title, text in sections.items() if model in title.split(" and ")]
        paragraph, _, source = text.partition("\n\n*")
        assert 300 < len(paragraph) < 1200
        assert re.search(r" 20\d\d, ", source)


def test_the_table_leads_to_the_paragraphs():
    anchors = {
        title.lower().replace(",", "").replace(" ", "-") for title in re.findall(r"^## (.+)", PAGE, re.M)
    }
    assert set(re.findall(r"\(#(.+?)\)", PAGE)) == anchors
