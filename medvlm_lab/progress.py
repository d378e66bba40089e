"""Progress with rate and time left: a live bar, which a notebook keeps as a line of text.

A notebook that names a live widget shows an error where no kernel runs.
"""

from __future__ import annotations

from tqdm import auto


class tqdm(auto.tqdm):
    """`tqdm.auto.tqdm`; in a notebook's output its last count takes the bar's place."""

    _place = None

    def __init__(self, *args, **options):
        live = any(base.__name__ == "tqdm_notebook" for base in auto.tqdm.__mro__)
        super().__init__(*args, **options, **({"display": False} if live else {}))
        if live and not self.disable:
            from IPython.display import display

            self._place = display(self.container, display_id=True)

    def close(self) -> None:
        super().close()
        place, self._place = self._place, None
        if place is not None:  # None, too, outside a kernel
            of = "" if self.total is None else f" of {self.total}"
            said = f"{self.desc}: {self.unit.strip()} {self.n}{of}" if self.leave else ""
            place.update({"text/plain": said}, raw=True)
