"""Small books and submissions."""

import nbformat
import pytest

HEADER = """# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   medvlm: {timeout: %s}
# ---

# %%%% [markdown]
# # A chapter

# %%%%
"""


@pytest.fixture
def book(tmp_path):
    """A book of small chapters: write(number, code, timeout)."""
    root = tmp_path / "notebooks"
    (root / "src").mkdir(parents=True)

    def write(number, code, timeout=60):
        (root / "src" / f"{number}_small.py").write_text(HEADER % timeout + code + "\n")
        return root

    return write


@pytest.fixture
def submit(tmp_path):
    """Hands in a notebook: submit(name, *cells) -> its path below `submitted`."""

    def write(name, *cells):
        path = tmp_path / "submitted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbformat.write(notebook, path)
        return path

    return write
