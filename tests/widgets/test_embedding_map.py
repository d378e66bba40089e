"""The embedding map without a browser: colours, cards, searches, selection, the picture in a saved notebook."""

import base64
import dataclasses
import io

import numpy as np
import pyarrow as pa
import pytest
from fakes import FakeEncoder
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import medvlm_lab as lab
from medvlm_lab.embed import Embeddings
from medvlm_lab.errors import MedVLMError, UnknownNameError
from medvlm_lab.io.private import neutral_name
from medvlm_lab.widgets import embedding_colours as paint
from medvlm_lab.widgets import embedding_state as logic


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(18):
        Image.fromarray(rng.integers(0, 255, (24, 20), np.uint8)).save(tmp_path / f"p{i:02d}.png")
    return tmp_path


@pytest.fixture
def made(folder):
    """Eighteen images of six patients, and two texts."""
    patients = [str(i % 6) for i in range(18)]
    found = lab.embed.embed(FakeEncoder(), folder, patients=patients, progress=False)
    return found.texts(["pleural effusion", "no effusion"])


@pytest.fixture
def widget(made):
    shown = lab.widgets.embedding_map(made, lab.embed.project(made, "pca"))
    shown.sent = []
    shown.send = lambda content, buffers=None: shown.sent.append((content, buffers))
    return shown


def known(rows):
    vectors = np.eye(len(rows), dtype=np.float32)
    rows = [{"id": str(i), "kind": "image", "vector": vectors[i], **row} for i, row in enumerate(rows)]
    return Embeddings.from_rows(rows, "m", "i")


def test_choices_are_what_differs():
    made = known([
        {"findings": ["edema", "nodule"], "numbers": [("age", 3.0), ("n", 1.0), ("lost", np.nan)], "modality": "CT"},
        {"findings": ["edema"], "numbers": [("age", 5.0), ("n", 1.0), ("lost", np.nan)], "modality": "MR"},
        {"findings": ["edema"], "numbers": [], "modality": "MR", "patient": "p"},
    ])  # fmt: skip
    assert paint.choices(made) == ["modality", "finding: nodule", "number: age"]
    found = paint.colours(made, "finding: nodule")
    assert {entry[::2] for entry in found.legend} == {("present", 1), ("absent", 1), ("none", 1)}
    ages = paint.colours(made, "number: age")
    assert ages.bounds == (3.0, 5.0) and ages.codes.tolist() == [0, 254, 255]
    assert paint.choices(known([{"modality": "CT"}] * 3)) == ["kind"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abcdefghij") | st.none(), min_size=2, max_size=40))
def test_every_point_has_its_value_s_colour(values):
    made = known([{"modality": value} for value in values])
    found = paint.colours(made, "modality")
    named = {label: colour for label, colour, _ in found.legend}
    assert sum(count for *_, count in found.legend) == len(values) and len(found.palette) <= 7
    for value, code in zip(values, found.codes, strict=True):
        assert found.palette[code] == named.get(value, lab.style.GREY)
    assert len(set(found.palette)) == len(found.palette)


def test_columns_of_numbers_are_on_a_scale():
    made = known([{}] * 9)
    columns = {
        "age": [float(n) for n in range(7)] + [None, np.nan], "few": [0, 1, 2] * 3, "many": list(range(9)),
        "smoker": [True, False, None] * 3, "same": [1.0] * 9, "box": [[n] for n in range(9)],
    }  # fmt: skip
    for name, values in columns.items():
        made = dataclasses.replace(made, table=made.table.append_column(name, pa.array(values)))
    assert paint.choices(made) == ["age", "few", "many", "smoker"]
    age, few, many, smoker = (paint.colours(made, name) for name in ("age", "few", "many", "smoker"))
    assert age.bounds == (0, 6) and age.codes[[0, 3, 6, 7, 8]].tolist() == [0, 127, 254, 255, 255]
    assert many.bounds == (0, 8) and few.bounds is None
    assert [(label, n) for label, _, n in few.legend] == [("0", 3), ("1", 3), ("2", 3)]  # 0 is a value
    assert [(label, n) for label, _, n in smoker.legend] == [("True", 3), ("False", 3), ("none", 3)]


def test_points_fill_the_unit_square(widget):
    places, texts = logic.points(widget.state)
    xy = np.frombuffer(places, "<f4").reshape(20, 2)
    assert np.abs(xy).max() == pytest.approx(1, abs=1e-5)
    assert np.frombuffer(texts, np.uint8).tolist() == [0] * 18 + [1] * 2
    spread = widget.state.projection.coordinates
    np.testing.assert_allclose(np.diff(xy, axis=0) * widget.state.half, np.diff(spread, axis=0), atol=1e-4)


def test_a_click_shows_the_card_its_neighbours_and_the_patient_s_path(widget, folder):
    heard = []
    widget.on_select(heard.append)
    widget.selection = [7]
    card, _ = widget.sent[-1]
    name = neutral_name(folder / "p07.png")
    assert heard == [[7]] and widget.ids == [name]
    assert card["reply"] == "card" and card["title"] == name and card["path"] == [1, 7, 13]
    picture = Image.open(io.BytesIO(base64.b64decode(card["picture"].split(",")[1])))
    assert picture.size == (20, 24)
    assert [n["row"] for n in card["nearest"]] == [n.row for n in widget.state.embeddings.nearest(7, 8)]
    widget.selection = [18]  # a prompt has neither picture nor path
    assert widget.sent[-1][0]["picture"] == "" and widget.sent[-1][0]["path"] == []
    widget.selection = []
    assert widget.sent[-1][0] == {"reply": "none"}
    widget.selection = [2, 99, -4]
    assert widget.selection == [2]


def test_a_lasso_gives_ids_and_a_contact_sheet(widget, folder):
    names = [neutral_name(folder / f"p{i:02d}.png") for i in range(3)]
    (folder / "p01.png").unlink()
    widget.selection = [0, 1, 2, 19]
    reply = widget.sent[-1][0]
    assert reply["count"] == 4 and widget.ids == [*names, "no effusion"]
    assert [bool(p["picture"]) for p in reply["pictures"]] == [True, False, True]


def test_a_deleted_picture_is_said_on_hover(widget, folder):
    widget._on_message(None, {"do": "hover", "row": 3}, [])
    assert widget.sent[-1][0]["problem"] == ""
    name = neutral_name(folder / "p03.png")
    (folder / "p03.png").unlink()
    widget._on_message(None, {"do": "hover", "row": 3}, [])
    card = widget.sent[-1][0]
    assert f"{name} was moved or deleted" in card["problem"] and card["title"] == name
    before = len(widget.sent)
    for nonsense in ({"do": "hover", "row": 99}, {"do": "hover", "row": None}, {"do": "x"}, {}):
        widget._on_message(None, nonsense, [])
    assert len(widget.sent) == before


def test_words_and_files_are_searched_for(widget, folder):
    nearest = widget.search("effusion")
    found = widget.sent[-1][0]
    assert found["label"] == "effusion" and [n["title"] for n in found["nearest"]] == nearest
    assert all(n["kind"] == "image" for n in found["nearest"])
    name = neutral_name(folder / "p09.png")
    assert widget.search(folder / "p09.png")[0] == name
    content = (folder / "p09.png").read_bytes()
    widget._on_message(None, {"do": "search", "name": "../../x.png"}, [memoryview(content)])
    found = widget.sent[-1][0]
    assert found["label"] == name == found["nearest"][0]["title"]
    xy = np.frombuffer(logic.points(widget.state)[0], "<f4").reshape(-1, 2)
    np.testing.assert_allclose(found["place"], xy[9], atol=1e-3)  # where the same picture lies
    widget._on_message(None, {"do": "search", "name": "x.png"}, [memoryview(b"\x89PNG")])
    assert "damaged" in widget.sent[-1][0]["problem"]


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), OSError("disk")])
def test_what_fails_is_said_and_nothing_waits(widget, monkeypatch, error):
    def broken(*_):
        raise error

    monkeypatch.setattr(FakeEncoder, "encode_texts", broken)
    widget._on_message(None, {"do": "search", "text": "effusion"}, [])
    assert widget.sent[-1][0] == {
        "reply": "found", "problem": f"The search failed ({type(error).__name__}: {error}); try another.",
    }  # fmt: skip
    monkeypatch.setattr(Embeddings, "image", broken)
    widget._on_message(None, {"do": "hover", "row": 3}, [])
    assert f"cannot be shown ({type(error).__name__}: {error})" in widget.sent[-1][0]["problem"]
    widget.selection = [4]
    assert str(error) in widget.sent[-1][0]["problem"] and widget.sent[-1][0]["nearest"]
    widget.selection = [4, 5]
    assert [p["picture"] for p in widget.sent[-1][0]["pictures"]] == ["", ""]


def test_search_without_the_model_is_a_sentence(made):
    bare = Embeddings(made.vectors, made.table, made.model, made.identity)
    widget = lab.widgets.embedding_map(bare, lab.embed.project(bare, "pca"))
    sent = []
    widget.send = lambda content, buffers=None: sent.append(content)
    widget._on_message(None, {"do": "search", "text": "effusion"}, [])
    assert "load the vectors with model=" in sent[-1]["problem"]


def test_colours_follow(widget):
    widget.color_by = "patient"
    content, (codes,) = widget.sent[-1]
    assert content == {"reply": "colours"} and len(codes) == 20 and len(widget.legend["legend"]) == 7
    with pytest.raises(UnknownNameError, match="colour 'patents'"):
        widget.color_by = "patents"


def test_a_saved_notebook_keeps_a_picture_and_no_points(widget):
    for selection, choice in (([], "kind"), ([1, 2], "patient")):
        widget.selection, widget.color_by = selection, choice
        found = widget._repr_mimebundle_()
        bundle = found[0] if isinstance(found, tuple) else found
        with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as picture:
            assert picture.format == "PNG" and np.asarray(picture.convert("RGBA"))[..., 3].max() == 255
    assert not any(isinstance(value, bytes) for value in widget.get_state().values())


def test_a_map_without_texts_leaves_a_picture_too(folder):
    made = lab.embed.embed(FakeEncoder(), folder, progress=False)
    found = lab.widgets.embedding_map(made, lab.embed.project(made, "pca"))._repr_mimebundle_()
    assert base64.b64decode(found[0]["image/png"]).startswith(b"\x89PNG")


def test_what_cannot_be_mapped_is_a_sentence(made, folder):
    few = lab.embed.embed(FakeEncoder(), [folder / "p00.png", folder / "p01.png"], progress=False)
    with pytest.raises(MedVLMError, match="at least 3 images or texts"):
        lab.widgets.embedding_map(few)
    with pytest.raises(MedVLMError, match="20 points for 2 vectors"):
        lab.widgets.embedding_map(few, lab.embed.project(made, "pca"))
    with pytest.raises(UnknownNameError, match="colour 'kinds'; did you mean 'kind'"):
        lab.widgets.embedding_map(made, lab.embed.project(made, "pca"), "kinds")
