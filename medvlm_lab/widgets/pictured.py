"""What every widget leaves in a saved notebook: a picture, for pages on which no kernel runs."""

from __future__ import annotations

import base64
from typing import Any


class Pictured:
    """Stands before ipywidgets' or anywidget's class; `png()` of the widget says what it looks like now."""

    def _repr_mimebundle_(self, **kwargs: Any):
        found = super()._repr_mimebundle_(**kwargs)
        bundle = found[0] if isinstance(found, tuple) else found  # anywidget adds metadata
        if bundle is not None:
            bundle["image/png"] = base64.b64encode(self.png()).decode("ascii")
        return found
