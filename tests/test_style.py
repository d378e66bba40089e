"""Figures say what they show, in their executed notebook and to who does not see them."""

import nbclient
import nbformat
import numpy as np
import pytest
from matplotlib import pyplot as plt

from medvlm_lab import style


def test_words_of_plots_and_pictures():
    figure, (left, right) = plt.subplots(1, 2)
    left.imshow(np.eye(3))
    left.set_title("scan")
    right.plot([1, 2], label="train")
    right.plot([2, 1], label="test")
    right.set(xlabel="step", ylabel="loss, nats")
    right.legend()
    assert style.words(figure) == "Pictures: scan. Plot of loss, nats against step: train, test"
    assert style.words(plt.figure()) == "Figure"
    plt.close("all")


def test_a_notebook_keeps_them_beside_its_pictures():
    picture = "lab.style.show({'one': np.eye(4), 'two': np.eye(4)})"
    sources = [f"import numpy as np\nimport medvlm_lab as lab\nlab.style.apply()\n{picture}", picture]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    shown = [output.data for cell in notebook.cells for output in cell.outputs if "data" in output]
    assert [data["text/plain"] for data in shown] == ["Pictures: one, two"] * 2
    assert all("image/png" in data for data in shown)


@pytest.mark.parametrize("sign", "éüßØ×–−•≤²µ→قЖλ")
def test_pictures_with_words_draw_every_sign(sign):
    font = style.font(20)
    assert bytes(font.getmask(sign)) != bytes(font.getmask("\uffff")), "a box stands for the sign"
