"""A real JupyterLab on the loopback interface, and the system's Chromium with every outside request refused."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import pytest

from medvlm_lab.classroom.run import lab_environment

TOKEN = "browser-test"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """Path of the system's Chromium or Chrome."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def browser():
    path = chromium()
    if path is None:
        reason = "no Chromium on this machine; install the package `chromium`"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page whose outside requests are refused and must not have been tried, and in which no script fails."""
    outside, failed = [], []

    def gate(route):
        if route.request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            route.continue_()
        else:
            outside.append(route.request.url)
            route.abort()

    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.route("**/*", gate)
    page.on("pageerror", lambda error: failed.append(str(error)))
    yield page
    page.close()
    assert outside == [], f"the page asked for {outside}"
    assert failed == []


@pytest.fixture
def jupyter(tmp_path):
    """(folder, url of a file in it) of a JupyterLab started for this test."""
    root, home = tmp_path / "root", tmp_path / "home"
    root.mkdir()
    home.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={root}", "--ServerApp.port_retries=0"]
    env = {**lab_environment(), "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_RUNTIME_DIR": str(home / "run")}
    env |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "s"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "w")}
    with open(tmp_path / "server.log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
    try:
        for _ in range(180):
            try:
                urllib.request.urlopen(f"{base}/api?token={TOKEN}", timeout=2).read()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
                time.sleep(0.5)
        yield root, lambda name: f"{base}/lab/tree/{name}?token={TOKEN}&reset"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(60)  # its kernels end first
        except subprocess.TimeoutExpired:  # it waits for a kernel that was being restarted
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)


@pytest.fixture
def run_cell(page, jupyter):
    """Puts code into a notebook's cells, runs them in JupyterLab and returns the page."""
    root, url = jupyter

    def run(*codes: str):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code.strip()) for code in codes])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, root / "cell.ipynb")
        page.goto(url("cell.ipynb"), timeout=60_000)
        page.get_by_role("button", name="| Idle").wait_for(timeout=60_000)  # without its kernel a page runs nothing
        page.locator(".jp-Notebook .jp-CodeCell").first.click(timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        return page

    return run


@pytest.fixture
def shoot():
    """Saves a picture of a locator where `MEDVLM_SCREENSHOTS` names a folder."""
    folder = os.environ.get("MEDVLM_SCREENSHOTS")
    return lambda locator, name: folder and locator.screenshot(path=os.path.join(folder, f"{name}.png"))
