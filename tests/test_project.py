"""The project's own files agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_environment_yml_equals_pyproject():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    conda = [line.removeprefix("  - ") for line in lines if re.match(r"  - \w", line)]
    pip = [line.strip().removeprefix("- ") for line in lines if line.startswith("      - ")]
    assert pip == PROJECT["dependencies"]
    assert conda == ["conda-forge", f"python{PROJECT['requires-python']}", "pip", "pip:"]


@pytest.mark.parametrize("command", ["make lab", "make lab ARGS=--no-browser", "make test", "lab.widgets.vqa"])
def test_readme_shows_the_way_in(command):
    assert command in (ROOT / "README.md").read_text()


def test_readme_says_not_for_clinical_use():
    assert "Not for clinical use" in (ROOT / "README.md").read_text()


def test_readme_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_scores_in_the_readme_are_the_cards_own():
    rows = re.findall(r"^\| \[[\w-]+\]\((\S+README\.md)\) .*\| ([^|]+) \|$", (ROOT / "README.md").read_text(), re.M)
    assert len(rows) == len(list((ROOT / "medvlm_lab" / "weights").iterdir()))
    for card, scores in rows:
        text = (ROOT / card).read_text()
        for number in re.findall(r"\d+\.\d+", scores):
            assert re.search(rf"\b{re.escape(number)}\b", text), f"{number} is not in {card}"


def test_times_in_the_readme_are_the_chapters_own():
    row = r"^\| \[\d\d [^\]]+\]\(notebooks/(\w+)\.ipynb\) .*\| (\d+) \|$"
    rows = re.findall(row, (ROOT / "README.md").read_text(), re.M)
    sources = sorted((ROOT / "notebooks" / "src").glob("*.py"))
    assert [name for name, _ in rows] == [source.stem for source in sources]
    for (_, minutes), source in zip(rows, sources, strict=True):
        assert f"# Time: {minutes} minutes to read" in source.read_text(), source.stem


def _locked() -> dict[str, str]:
    """Each locked requirement with its hashes, continuation lines joined."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    return {line.split("==")[0]: line for line in text.splitlines() if line.strip() and not line.startswith("#")}


def test_lock_pins_and_hashes_everything_and_names_no_address():
    locked = _locked()
    for name, line in locked.items():
        assert re.match(r"[\w.-]+==\S+", line) and "--hash=sha256:" in line, name
        assert "://" not in line, name


def test_lock_holds_every_dependency_and_the_test_extra():
    locked = set(_locked())
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    missing = {re.split(r"[><=\[]", line)[0].lower().replace("_", "-") for line in wanted} - locked
    assert not missing


def test_dependencies_have_lower_bounds_only():
    for line in PROJECT["dependencies"]:
        assert ">=" in line and "," not in line and "<" not in line, line


def test_make_knows_what_the_readme_and_ci_call():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("lab", "test", "build", "chapters", "lock", "lint"):
        assert re.search(rf"^{target}:", makefile, re.M), target
    assert "make test" in (ROOT / ".ci" / "run").read_text()
