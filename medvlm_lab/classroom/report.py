"""The results of a run for a browser (HTML) and for a build server (JUnit XML)."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from medvlm_lab.classroom.execute import Result
from medvlm_lab.io.whole import write_whole

STYLE = """
:root { color-scheme: light dark } body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem } table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .8rem;
border-bottom: 1px solid #8886 } td.n { text-align: right; font-variant-numeric: tabular-nums } pre { overflow-x: auto;
border-left: 4px solid #d55e00; padding-left: .8em }
"""
NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


def page(title: str, *parts: str) -> str:
    """A whole HTML page from a title and parts that are HTML already; it loads nothing."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><h1>{html.escape(title)}</h1>\n' + (
        "\n".join(parts) + "\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """An HTML table; texts are escaped, numbers set to the right."""
    cells = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    return f"<table><tr>{cells}</tr>{''.join(f'<tr>{_cells(row)}</tr>' for row in rows)}</table>"


def _cells(row: Sequence[str | float]) -> str:
    return "".join(
        f"<td>{html.escape(value)}</td>" if isinstance(value, str) else f'<td class="n">{value:,.1f}</td>'
        for value in row
    )


def trace(title: str, text: str) -> str:
    """A heading and a traceback below it."""
    return f"<h2>{html.escape(title)}</h2><pre>{html.escape(text)}</pre>"


def write_report(results: Sequence[Result], folder: str | Path) -> None:
    """Writes `report.html` and `junit.xml` into a folder. Raises OSError where it cannot."""
    folder = Path(folder).expanduser()
    rows = [(r.chapter, r.seconds, r.cpu_seconds, r.peak_mb, r.outcome) for r in results]
    good = sum(result.ok for result in results)
    parts = [f"<p>{good} of {len(results)} ran to the end.</p>"]
    parts.append(table(("chapter", "seconds", "CPU seconds", "peak memory, MB", "result"), rows))
    parts += [trace(f"{r.chapter}, cell {r.cell}", r.traceback) for r in results if r.traceback]
    write_whole(folder / "report.html", page("MedVLM Lab: chapters", *parts))
    write_whole(folder / "junit.xml", _junit(results))


def _junit(results: Sequence[Result]) -> bytes:
    failures = sum(not result.ok for result in results)
    seconds = f"{sum(result.seconds for result in results):.3f}"
    about = {"tests": str(len(results)), "failures": str(failures), "time": seconds}
    suites = ElementTree.Element("testsuites", about)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "chapters", **about})
    for result in results:
        case = {"classname": "chapters", "name": result.chapter, "time": f"{result.seconds:.3f}"}
        element = ElementTree.SubElement(suite, "testcase", case)
        properties = ElementTree.SubElement(element, "properties")
        for name in ("peak_mb", "cpu_seconds"):
            ElementTree.SubElement(properties, "property", {"name": name, "value": f"{getattr(result, name):.0f}"})
        if not result.ok:
            message = NO_XML.sub("?", result.outcome)
            failure = ElementTree.SubElement(element, "failure", {"message": message})
            failure.text = NO_XML.sub("?", result.traceback)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
