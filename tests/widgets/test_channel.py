"""The requests of a widget: the newest counts, an older one ends, and each end is told."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from medvlm_lab.widgets import channel
from medvlm_lab.widgets.channel import INTERRUPTED, STOPPED, Channel, Request


def slow(name, pieces=200):
    for number in range(pieces):
        time.sleep(0.005)
        yield f"{name}{number}"


def asked(ask, monkeypatch, seconds=3):
    """What is drawn, said and told of requests that a browser sends, as `ask` does with the channel."""
    monkeypatch.setattr(channel, "_in_cell", lambda: False)
    drawn, failed, told = [], [], []

    async def page():
        made = Channel(told.append)
        await ask(made, lambda name, job: Request(name, job, drawn.append, failed.append))
        for _ in range(int(seconds / 0.01)):
            await asyncio.sleep(0.01)
            if not made.busy:
                return

    with ThreadPoolExecutor(1) as own:  # the browser tests leave a loop running in the main thread
        own.submit(asyncio.run, page()).result()
    return drawn, failed, told


def test_only_the_newest_request_is_drawn(monkeypatch):
    async def ask(made, request):
        made.submit(request("old", lambda: slow("old")), 1)
        await asyncio.sleep(0.05)
        made.submit(request("new", lambda: slow("new", 3)), 2)

    drawn, failed, told = asked(ask, monkeypatch)
    first = drawn.index("new0")
    assert drawn[first:] == ["new0", "new1", "new2"] and 0 < first < 200 and failed == []
    assert told[-1] == {"reply": "channel", "seq": 2, "busy": False, "note": ""}


def test_equal_requests_are_one(monkeypatch):
    async def ask(made, request):
        for number in range(8):
            made.submit(request("same", lambda: slow("same", 3)), number)

    assert asked(ask, monkeypatch)[0] == ["same0", "same1", "same2"]

    async def after(made, request):
        for key in ("same", "same", "other"):
            made.submit(request(key, lambda key=key: slow(key, 1)))
            while made.busy:
                await asyncio.sleep(0.01)

    assert asked(after, monkeypatch)[0] == ["same0", "other0"]


@pytest.mark.parametrize("end, why", [(Channel.stop, STOPPED), (lambda _: channel.interrupt(), INTERRUPTED)])
def test_a_stop_and_an_interrupt_are_told_and_end_the_thread(end, why, monkeypatch):
    async def ask(made, request):
        made.submit(request("long", lambda: slow("long", 2000)), 1)
        await asyncio.sleep(0.05)
        end(made)

    drawn, failed, told = asked(ask, monkeypatch)
    assert failed == [why] and told[-1]["note"] == why and not told[-1]["busy"] and len(drawn) < 100
    for thread in threading.enumerate():
        if thread.name == "medvlm-lab-request":
            thread.join(2)
            assert not thread.is_alive()


def test_a_model_stops_between_its_layers(monkeypatch):
    torch = pytest.importorskip("torch")
    layer, passes = torch.nn.Linear(1, 1), []

    def job():
        for _ in range(2000):
            layer(torch.zeros(1))
            passes.append(1)
            time.sleep(0.002)
        yield "done"

    async def ask(made, request):
        made.submit(request("model", job), 1)
        await asyncio.sleep(0.1)
        made.stop()
        await asyncio.sleep(0.1)
        passes.append("stopped")
        await asyncio.sleep(0.1)

    assert asked(ask, monkeypatch)[0] == [] and passes[-1] == "stopped"
    layer(torch.zeros(1))  # no hook is left behind


def test_a_failure_is_a_sentence(monkeypatch):
    async def ask(made, request):
        made.submit(request("bad", lambda: [1 / 0]), 1)

    _, failed, told = asked(ask, monkeypatch)
    assert "ZeroDivisionError" in failed[0] and not told[-1]["busy"]


def test_in_a_cell_the_answer_is_there_at_once_and_an_interrupt_is_raised():
    drawn, failed, told = [], [], []
    made = Channel(told.append)
    made.submit(Request("now", lambda: slow("now", 2), drawn.append, failed.append))
    assert drawn == ["now0", "now1"] and not made.busy

    def interrupted():
        yield "one"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.run(Request("now", interrupted, drawn.append, failed.append))
    assert failed == [INTERRUPTED] and not made.busy
