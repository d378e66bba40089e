"""Published checkpoints are tested without a network: whatever reaches for one fails."""

import os
import socket

import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when the hub's library is imported


@pytest.fixture
def offline(monkeypatch):
    reached = []

    def refuse(*args, **kwargs):
        reached.append(args)
        raise OSError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield
    assert not reached  # though a library may have caught the error


@pytest.fixture(scope="session")
def pictures():
    """Three stills of different content, wider than high."""
    from medvlm_lab.image import MedicalImage

    rng = np.random.default_rng(0)
    return [MedicalImage.from_array(rng.integers(0, 255, (40, 60)).astype(np.uint8)) for _ in range(3)]
