"""Chapters run: what each took, where one failed, and that the others go on."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.classroom.build import build, chapters, from_source
from medvlm_lab.classroom.execute import Result, environment, execute, left_behind
from medvlm_lab.classroom.report import write_report
from medvlm_lab.classroom.run import lab_environment, run
from medvlm_lab.errors import MedVLMError, UnknownNameError


def built(root):
    """Notebooks of all sources, not executed."""
    for chapter in chapters(root=root):
        nbformat.write(from_source(chapter), chapter.notebook)
    return root


def test_results_name_cell_and_traceback_and_others_go_on(book, tmp_path):
    book("00", "1 + 1\n\n# %% [markdown]\n# text\n\n# %%\nhidden = 5\n1 / (hidden - 5)", timeout=60)
    book("01", "import os\nprint(seed, type(word).__name__, os.environ['MEDVLM_DEVICE'])\nassert seed == 3")
    root = built(book("02", "7\n\n# %%\nwhile True: pass"))
    (root / "03_small.ipynb").write_text("no notebook")
    book("03", "1")
    book("04", "1")
    asked = ["0", "01", "77", "02", "03", "04"]
    results = run(asked, root=root, jobs=2, device="cpu", parameters={"seed": 3, "word": "a"}, seconds=20)
    divided, well, unknown, endless, none, unbuilt = results
    assert divided.cell == 2 and divided.error == "ZeroDivisionError: division by zero"
    assert "1 / (hidden - 5)" in divided.traceback and "\x1b" not in divided.traceback
    assert well.ok and well.cell is None and well.peak_mb > 50
    assert endless.cell == 2 and endless.error.startswith("took longer than its 20 s")
    assert unknown.error.startswith("Unknown chapter '77'") and unknown.chapter == "77"
    assert "03_small.ipynb is not a notebook" in none.error and "\n" not in none.error
    assert "04_small.ipynb is not built; run 'medvlm-lab chapters build 04'" in unbuilt.error
    write_report(results, tmp_path / "report")
    suites = ElementTree.parse(tmp_path / "report" / "junit.xml").getroot()
    assert suites.get("tests") == "6" and suites.get("failures") == "5"
    assert "hidden - 5" in suites.find(".//failure").text
    page = (tmp_path / "report" / "report.html").read_text()
    assert "1 of 6 ran to the end" in page and "00_small, cell 2" in page and "://" not in page


def test_too_much_memory_fails_a_chapter(book):
    (result,) = run(root=built(book("00", "held = bytearray(400 << 20)\nwhile True: pass")), memory_mb=400, seconds=60)
    assert result.error == "needed more than its 400 MB of memory" and result.peak_mb > 400


def test_parameters_come_after_the_tagged_cell_and_what_a_chapter_does_not_know_is_said(book, monkeypatch):
    book("00", "1")
    code = ['1\n\n# %% tags=["parameters"]', 'seed = 0\nword: str = "none"', "# %%\nimport os"]
    root = book("01", "\n".join([*code, "assert f'{seed} {word}' == os.environ['EXPECTED']"]))
    monkeypatch.setenv("EXPECTED", "0 none")
    assert all(result.ok for result in build(root=root))
    monkeypatch.setenv("EXPECTED", "3 a")
    without, has = run(root=root, parameters={"seed": 3, "word": "a"})
    assert without.ok and without.note == "no parameter of it: seed, word" and without.note in str(without)
    assert has.ok and not has.note


def test_no_kernel_is_one_sentence(book, monkeypatch, tmp_path):
    root = built(book("00", "1"))
    monkeypatch.setattr("medvlm_lab.classroom.execute.KERNEL", "nosuch")
    (result,) = run(root=root)
    assert "nosuch" in result.error and "\n" not in result.error


def test_no_disk_is_one_sentence(book, monkeypatch):
    root = built(book("00", "1"))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("medvlm_lab.classroom.run.execute_chapter", full)
    (result,) = run(root=root)
    assert "No space left on device" in result.error


def test_parameters_have_names_of_variables_and_engines_are_known(book):
    root = built(book("00", "1"))
    with pytest.raises(MedVLMError, match="'a b'"):
        run(root=root, parameters={"a b": 1})
    with pytest.raises(UnknownNameError, match="did you mean 'ray'"):
        run(root=root, engine="rai")


@given(st.text(), st.text())
def test_reports_hold_any_text(tmp_path_factory, error, traceback):
    folder = tmp_path_factory.mktemp("report")
    text = (error + traceback).encode("utf-8", "replace").decode()
    write_report([Result("00", 1.0, text or "x", 1, text), Result("01", 1.0)], folder)
    suites = ElementTree.parse(folder / "junit.xml").getroot()
    assert len(suites.findall(".//testcase")) == 2 and len(suites.findall(".//failure")) == 1
    assert text.count("<script") == 0 or "<script" not in (folder / "report.html").read_text()


def test_what_a_program_leaves_is_read_only_from_a_plain_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc\xff")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    assert left_behind(tmp_path / "file") == "abc\ufffd" and left_behind(tmp_path / "file", most=2) == "c\ufffd"
    assert left_behind(tmp_path / "link") == left_behind(tmp_path / "pipe") == left_behind(tmp_path / "none") == ""


def test_what_interact_shows_stays_in_its_cell(tmp_path):
    source = "import ipywidgets\nipywidgets.interact(lambda x=2: print(f'x is {x}'), x=(0, 5))"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell("1 + 1")])
    assert execute("shown", notebook, tmp_path / "out.ipynb", tmp_path, environment(), 60).ok
    cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    assert "x is 2" in "".join(output.get("text", "") for output in cells[0].outputs)
    assert cells[1].outputs[0].data["text/plain"] == "2"


def test_jobs_share_the_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
        assert [environment(jobs)[name] for jobs in (1, 2, 3, 9)] == ["2", "2", "1", "1"]
        monkeypatch.setenv(name, "7")
        assert environment(2)[name] == "7"  # who has chosen is not overruled


def test_jupyterlab_knows_and_finds_the_books_settings(monkeypatch):
    import jsonschema
    import jupyterlab
    from jupyter_server.services.config.manager import ConfigManager

    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "elsewhere")
    paths = lab_environment()["JUPYTER_CONFIG_PATH"]
    assert paths.endswith(os.pathsep + "elsewhere")  # what was set before still counts
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", paths)
    settings = ConfigManager(config_dir_name="labconfig").get("default_setting_overrides")
    assert settings["@jupyterlab/apputils-extension:notification"] == {"checkForUpdates": False, "fetchNews": "false"}
    for plugin, values in settings.items():
        extension, name = plugin.split(":")
        schema = json.loads((Path(jupyterlab.__file__).parent / "schemas" / extension / f"{name}.json").read_text())
        assert values.keys() <= schema["properties"].keys()
        jsonschema.validate(values, schema)
