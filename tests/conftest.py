"""How the tests are shared between processes (`make test` has two)."""


def pytest_xdist_make_scheduler(config, log):
    """A file's tests stay together, for they share what is slow to make; all browser tests share one JupyterLab."""
    from xdist.scheduler import LoadScopeScheduling

    class Sharing(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split("::")[0]
            return file.rpartition("/")[0] if "/browser/" in file else file

    return Sharing(config, log)
