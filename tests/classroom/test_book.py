"""The site: pictures where widgets were, nothing from elsewhere, texts for who does not see the pictures."""

import base64
import re
import sys

import nbformat
import pytest

from medvlm_lab.classroom import book as books
from medvlm_lab.classroom.build import chapters
from medvlm_lab.errors import MedVLMError, MissingDataError

DOT = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
).decode()
VIEW = {books.VIEW: {"model_id": "x", "version_major": 2, "version_minor": 0}}


@pytest.fixture
def small(book):
    """A built book of one chapter with a picture, a widget with a picture, one without, and a progress bar."""
    root = book("00", "1")
    new = nbformat.v4
    shown = [
        {"image/png": DOT, "text/plain": "MedicalImage('hand', X-ray)"},
        {"image/png": DOT, "text/plain": "<Viewer object at 0x1>", **VIEW},
        {"text/plain": "ToggleButtons(options=('no', 'yes'))", **VIEW},
        {"text/plain": "training:   0%|          | 0/9", **VIEW},
    ]
    cells = [new.new_markdown_cell("# 00 · Small\n\nWhere $x^2$?\n\n$$\\frac{a}{b}$$")]
    cells += [new.new_code_cell("show", outputs=[new.new_output("display_data", data=data)]) for data in shown]
    cells += [new.new_markdown_cell("## More\n\n[the model](../medvlm_lab/weights/chexzero/README.md)")]
    cells += [new.new_code_cell("show", outputs=[new.new_output("display_data", data={"image/png": DOT})])]
    cells[-1].outputs[0].metadata = {"image/png": {"alt": "a dot"}}
    plot = {"image/png": DOT, "text/plain": "Plot of loss against step"}
    cells += [new.new_code_cell("plot", outputs=[new.new_output("display_data", data=plot)])]
    nbformat.write(new.new_notebook(cells=cells), root / "00_small.ipynb")
    return root


def test_widgets_become_pictures_or_a_note(small):
    (chapter,) = chapters(root=small)
    cells = books.still(chapter).cells
    assert [cell.metadata["mystnb"]["image"]["alt"] for cell in (cells[1], cells[2], cells[6], cells[7])] == [
        "MedicalImage('hand', X-ray)", "Figure: 00 · Small", "a dot", "Plot of loss against step",
    ]  # fmt: skip
    assert cells[3].outputs[0].data == {"text/markdown": books.LIVE} and cells[4].outputs == []


def test_the_site_loads_nothing_from_elsewhere(small, tmp_path):
    pytest.importorskip("myst_nb", reason="the extra 'book' is not installed")
    index = books.book(tmp_path / "site", root=small)
    page = (tmp_path / "site" / "00_small.html").read_text()
    assert "00_small.html" in index.read_text() and page.count("<math") == 2 and 'href="cards/chexzero.html"' in page
    assert re.findall(r'alt="([^"]+)"\s+src="_images', page.replace("\n", " ")) == [
        "MedicalImage('hand', X-ray)", "Figure: 00 · Small", "a dot", "Plot of loss against step",
    ]  # fmt: skip
    for html in (tmp_path / "site").rglob("*.html"):
        assert not re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(?:https?:)?//', html.read_text()), html
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text()), style


def test_a_book_that_is_not_built(book, tmp_path):
    pytest.importorskip("myst_nb", reason="the extra 'book' is not installed")
    with pytest.raises(MedVLMError, match="not built"):
        books.book(tmp_path, root=book("00", "1"))


def test_a_damaged_chapter_is_one_sentence_and_the_site_has_the_others(small, book, tmp_path):
    pytest.importorskip("myst_nb", reason="the extra 'book' is not installed")
    book("01", "1")
    (small / "01_small.ipynb").write_text("no notebook")
    with pytest.raises(MedVLMError, match=r"01_small.ipynb is not a notebook .* other chapters are in .*index.html"):
        books.book(tmp_path / "site", root=small)
    assert "00_small.html" in (tmp_path / "site" / "index.html").read_text()


def test_without_sphinx_it_says_what_to_install(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "myst_nb", None)
    with pytest.raises(MissingDataError, match=r"medvlm-lab\[book\]"):
        books.book(tmp_path, root=small)
