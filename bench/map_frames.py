"""How fluid the embedding map is under the hand: time between its frames in a real JupyterLab, in headless Chromium.

    python bench/map_frames.py [points]    # 100,000; without a graphics card, so that any is faster

Beside it jupyter-scatter with the same points and as large on the page, where it is installed. Exits 1 if the mean
frame takes longer than jupyter-scatter's, or, alone, than 100 ms: what the hand still takes for at once.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import mean

import nbformat
import numpy as np
from playwright.sync_api import Page, sync_playwright

from medvlm_lab.classroom.run import lab_environment

MOVES, LIMIT_MS = 60, 100
POINTS = """
import numpy as np
rng = np.random.default_rng(0)
xy = (rng.normal(size=(40, 2))[rng.integers(0, 40, {n})] + 0.2 * rng.normal(size=({n}, 2))).astype(np.float32)
"""
MAP = """
import medvlm_lab as lab
from medvlm_lab.embed import Embeddings, Projection
unit = xy / np.linalg.norm(xy, axis=1, keepdims=True)
made = Embeddings.from_rows([{{"id": str(i), "kind": "image", "vector": v}} for i, v in enumerate(unit)], "m", "i")
lab.widgets.embedding_map(made, Projection(xy, "pca", 15, 1.0, 1.0, {n}, unit))
"""
SCATTER = """
import jscatter, pandas as pd
jscatter.Scatter(data=pd.DataFrame(xy, columns=["x", "y"]), x="x", y="y", height={height}, width={width}).show()
"""
FRAMES = """() => {
  window.stamps = [];
  const tick = (t) => { window.stamps.push(t); window.ticking = requestAnimationFrame(tick); };
  window.ticking = requestAnimationFrame(tick);
}"""
STAMPS = "() => { cancelAnimationFrame(window.ticking); return window.stamps; }"


def frames(page: Page, canvas, act) -> list[float]:
    """Milliseconds between the page's frames while the hand does `act(x, y, i)` on the middle of the canvas."""
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate(FRAMES)
    for i in range(MOVES):
        act(x, y, i)
        page.evaluate("() => new Promise(requestAnimationFrame)")
    stamps = page.evaluate(STAMPS)
    return np.diff(stamps)[1:].tolist()


def measure(page: Page, canvas) -> dict[str, list[float]]:
    """Frames while points are dragged, and while the wheel zooms."""
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    dragged = frames(page, canvas, lambda x, y, i: page.mouse.move(x + 3 * (i % 30), y + 2 * (i % 30)))
    page.mouse.up()
    page.mouse.move(x, y)
    zoomed = frames(page, canvas, lambda x, y, i: page.mouse.wheel(0, -30 if i < MOVES / 2 else 30))
    return {"dragged": dragged, "zoomed": zoomed}


def opened(browser, folder: Path, base: str, code: str) -> Page:
    """A page with one cell that has been run."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code.strip())])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "cell.ipynb")
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"{base}/lab/tree/cell.ipynb?token=bench&reset", timeout=60_000)
    page.get_by_role("button", name="| Idle").wait_for(timeout=60_000)
    page.locator(".jp-Notebook .jp-CodeCell").first.click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    return page


def main(points: int = 100_000) -> int:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("No Chromium on this machine; install the package `chromium`.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base, found = f"http://127.0.0.1:{port}", {}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as play:
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
        command += [f"--port={port}", "--IdentityProvider.token=bench", f"--ServerApp.root_dir={name}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen(command, env=lab_environment(), **quiet)
        try:
            for _ in range(120):
                try:
                    urllib.request.urlopen(f"{base}/api?token=bench", timeout=2).read()
                    break
                except OSError:
                    time.sleep(0.5)
            flags = ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"]
            browser = play.chromium.launch(executable_path=chromium, headless=True, args=flags)
            page = opened(browser, Path(name), base, (POINTS + MAP).format(n=points))
            canvas = page.locator(f"canvas.mv-hand[data-points='{points}']")
            canvas.wait_for(timeout=180_000)
            page.wait_for_timeout(2000)
            canvas.scroll_into_view_if_needed()
            found["embedding_map"] = measure(page, canvas)
            size = {side: round(canvas.bounding_box()[side]) for side in ("width", "height")}
            page.close()
            if importlib.util.find_spec("jscatter"):
                page = opened(browser, Path(name), base, (POINTS + SCATTER).format(n=points, **size))
                canvas = page.locator(".jp-OutputArea canvas").first
                canvas.wait_for(timeout=180_000)
                page.wait_for_timeout(4000)
                canvas.scroll_into_view_if_needed()
                found["jupyter-scatter"] = measure(page, canvas)
            browser.close()
        finally:
            server.terminate()
            server.wait(20)
    for name, acts in found.items():
        told = [f"{act} {mean(ms):.0f} ms a frame, 95 % within {np.quantile(ms, 0.95):.0f}" for act, ms in acts.items()]
        print(f"{name}, {points:,} points: {'; '.join(told)}")
    own, other = found["embedding_map"], found.get("jupyter-scatter", {})
    return int(any(mean(ms) > mean(other.get(act, [LIMIT_MS])) for act, ms in own.items()))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
