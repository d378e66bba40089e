"""A bar of progress leaves words in a notebook, and no widget that would need a kernel."""

import nbformat
import pytest

nbclient = pytest.importorskip("nbclient")
CODE = """
from medvlm_lab.progress import tqdm
for _ in tqdm(range(3), desc="reading", unit="image"):
    pass
for _ in tqdm(range(3), desc="gone", leave=False):
    pass
with tqdm(total=5, desc="stopped", unit=" q") as bar:
    bar.update(2)
"""


def test_a_notebook_keeps_the_last_count_in_words():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    shown = [dict(output.data) for output in notebook.cells[0].outputs if "data" in output]
    kept = ("reading: image 3 of 3", "", "stopped: q 2 of 5")
    assert shown == [{"text/plain": words} for words in kept]


def test_in_a_terminal_it_is_a_line(capsys):
    from medvlm_lab.progress import tqdm

    assert list(tqdm(range(2), desc="plain")) == [0, 1]
    assert "plain: 100%" in capsys.readouterr().err
