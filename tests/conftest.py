"""How the tests are shared between processes (`make test` has two)."""

import pytest


def pytest_collection_modifyitems(items):
    """A file's tests stay together, for they share what is slow to make; all browser tests share one JupyterLab."""
    for item in items:
        group = "browser" if item.get_closest_marker("browser") else item.path.name
        group = item.nodeid if item.get_closest_marker("chapter") else group
        item.add_marker(pytest.mark.xdist_group(group))
