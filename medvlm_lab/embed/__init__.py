"""Images and texts as vectors: computed once, kept on disk, searched, laid out on a map.

>>> model = lab.load("chexzero")
>>> found = lab.embed.embed(model, "folder of images", out="vectors")
>>> found.nearest("pneumothorax", k=5)
>>> lab.widgets.embedding_map(found.texts())
"""

from __future__ import annotations

from medvlm_lab.embed.encode import embed
from medvlm_lab.embed.projection import Projection, project
from medvlm_lab.embed.vectors import Embeddings, Neighbour

__all__ = ["Embeddings", "Neighbour", "Projection", "embed", "project"]
