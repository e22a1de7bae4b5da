"""Another configuration while alerts come in: nothing dropped, nothing doubled, what stays is not touched."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.app import Application, create_app
from relay.config import load
from relay.journal.base import Filter, State
from tests.fakes.http import Destination, Received, Reply


class Outputs:
    """relay.yaml with webhooks, each a path of one destination; `got` counts by path and uuid."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "relay.yaml"
        self.destination = Destination(self.reply)
        self.got: dict[str, Counter[str]] = {}
        self.down: set[str] = set()
        self.held: dict[str, asyncio.Event] = {}  # when a path answers

    def reply(self, received: Received) -> Reply:
        path = received.path.lstrip("/")
        if path in self.down:
            return Reply(503)
        alert = json.loads(received.body)
        if alert["source"] != "outrider":
            self.got.setdefault(path, Counter())[alert["uuid"]] += 1
        return Reply(after=self.held.get(path))

    def write(self, *, top: str = "", **outputs: dict[str, Any]) -> None:
        lines = ["listen: 127.0.0.1:2801", top, "outputs:" if outputs else "outputs: {}"]
        for name, settings in outputs.items():
            path = settings.pop("path", name)
            lines += [f"  {name}:", "    type: webhook", f"    url: http://{self.destination.netloc}/{path}"]
            lines += [f"    {key}: {value}" for key, value in settings.items()]
        self.file.write_text("\n".join(lines) + "\n")

    def uuids(self, path: str) -> set[str]:
        return set(self.got.get(path, ()))


@pytest.fixture
async def outputs(tmp_path: Path) -> AsyncIterator[Outputs]:
    made = Outputs(tmp_path)
    async with made.destination.running():
        yield made


@asynccontextmanager
async def running(outputs: Outputs) -> AsyncIterator[Application]:
    app = create_app(load(outputs.file, {}))
    await app.relay.start()
    try:
        yield app
    finally:
        await app.relay.stop()


def posts(app: Application) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:2801")


async def post(app: Application, *uuids: str, priority: str = "Warning") -> None:
    async with posts(app) as http:
        for uuid in uuids:
            alert = {
                "output": "o",
                "rule": "r",
                "priority": priority,
                "source": "s",
                "uuid": uuid,
                "output_fields": {},
            }
            assert (await http.post("/", json=alert)).status_code == 200


async def settled(app: Application, name: str, left: int = 0) -> None:
    """Until no more than so many wait for the output."""
    journal = app.relay.journal
    assert journal is not None
    async with asyncio.timeout(30):
        while (await journal.depth(name)).waiting > left:
            await asyncio.sleep(0.005)
    await journal.probe()  # it counts what is on its way to the disk; this is behind it


async def arrived(outputs: Outputs, path: str, count: int) -> None:
    while len(outputs.uuids(path)) < count:
        await asyncio.sleep(0.001)


async def states(app: Application, output: str) -> dict[str, State]:
    journal = app.relay.journal
    assert journal is not None
    page = await journal.alerts(Filter(), limit=1000)
    fates = await journal.fates(page.alerts)
    return {
        json.loads(alert.raw)["uuid"]: fate.state
        for alert in page.alerts
        if alert.source != "outrider"
        for fate in fates[alert.seq]
        if fate.output == output
    }


async def test_a_worker_stays_while_its_settings_are_the_same(outputs: Outputs) -> None:
    outputs.write(same={}, other={})
    async with running(outputs) as app:
        before = dict(app.relay.workers)
        outputs.write(other={"match": "rule = r"}, same={"start_from": "24h"}, new={})
        assert await app.relay.reloader.reload()
        after = app.relay.workers
        assert after["same"] is before["same"]
        assert after["other"] is not before["other"]
        assert list(after) == ["other", "same", "new"]
        await post(app, "a")
        for name in after:
            await settled(app, name)
        assert [outputs.got[name] for name in after] == [Counter("a")] * 3


@pytest.mark.parametrize(
    "bad",
    ["outputs: {same: {type: webhook}}\n", "listen: [\n", "outputs: {same: {type: slak}}\nlsten: 1\n"],
)
async def test_a_bad_file_is_refused_whole_and_said(outputs: Outputs, bad: str) -> None:
    outputs.write(same={})
    async with running(outputs) as app:
        before = dict(app.relay.workers)
        config = app.relay.config
        outputs.file.write_text(bad)
        assert not await app.relay.reloader.reload()
        assert app.relay.workers == before
        assert app.relay.config is config
        async with posts(app) as http:
            said = (await http.get("/metrics")).text
        assert 'outrider_config_reloads_total{result="refused"} 1.0' in said
        assert "outrider_config_good 0.0" in said
        assert app.relay.journal is not None
        [alert] = (await app.relay.journal.alerts(Filter(source="outrider"), limit=5)).alerts
        assert alert.rule == "Configuration refused"
        assert f"{outputs.file}:" in json.loads(alert.raw)["output"]
        outputs.write(same={})
        assert await app.relay.reloader.reload()
        assert app.relay.workers == before
        async with posts(app) as http:
            assert "outrider_config_good 1.0" in (await http.get("/metrics")).text


async def test_an_alert_is_judged_by_the_routing_when_it_was_journalled(outputs: Outputs) -> None:
    """The output is down all the while: most is read from the journal, judged and delivered much later."""
    errors = [f"error-{number}" for number in range(20)]
    others = [f"warning-{number}" for number in range(20)]
    outputs.down = {"out"}
    outputs.write(out={"minimum_priority": "error"})
    async with running(outputs) as app:
        await post(app, "low-1")
        await post(app, *errors, priority="Error")
        outputs.write(out={})
        await app.relay.reloader.reload()
        await post(app, *others)
        outputs.write(out={"enabled": "false"})
        await app.relay.reloader.reload()
        await post(app, "off", priority="Critical")
        outputs.down = set()
        outputs.write(out={"enabled": "false", "timeout": "9s"})
        await app.relay.reloader.reload()
        await settled(app, "out")
        assert outputs.got["out"] == Counter([*errors, *others])
        told = await states(app, "out")
        assert {uuid for uuid, state in told.items() if state is State.DELIVERED} == {*errors, *others}
        assert told["off"] is told["low-1"] is State.NOT_ROUTED


async def test_what_is_owed_to_a_removed_output_is_listed_and_comes_back_with_it(outputs: Outputs) -> None:
    outputs.down = {"gone"}
    outputs.write(gone={}, stays={})
    async with running(outputs) as app:
        assert app.relay.journal is not None
        await post(app, "a", "b", "c")
        await settled(app, "stays")
        outputs.write(stays={})
        await app.relay.reloader.reload()
        await post(app, "between")
        [orphan] = await app.relay.journal.orphans()
        assert (orphan.output, orphan.waiting) == ("gone", 3)
        [told] = (await app.relay.journal.alerts(Filter(source="outrider"), limit=5)).alerts
        assert json.loads(told.raw)["output"] == "Output gone was removed while 3 alerts waited for it"
        assert "between" not in await states(app, "gone")
    outputs.down = set()
    async with running(outputs) as app:  # an orphan outlives the process
        assert app.relay.journal is not None
        assert [one.output for one in await app.relay.journal.orphans()] == ["gone"]
        outputs.write(stays={}, gone={})
        await app.relay.reloader.reload()
        await post(app, "after")
        await settled(app, "gone")
        assert not await app.relay.journal.orphans()
        assert outputs.got["gone"] == Counter(["a", "b", "c", "after"])


async def test_an_output_removed_while_the_relay_was_down_is_an_orphan(outputs: Outputs) -> None:
    outputs.down = {"gone"}
    outputs.write(gone={})
    async with running(outputs) as app:
        await post(app, "a", "b")
    outputs.write()
    async with running(outputs) as app:
        assert app.relay.journal is not None
        await post(app, "later")
        [orphan] = await app.relay.journal.orphans()
        assert (orphan.output, orphan.waiting) == ("gone", 2)


async def test_an_output_that_is_renamed_keeps_what_it_is_owed_and_known(outputs: Outputs) -> None:
    outputs.write(old={"path": "hook"})
    async with running(outputs) as app:
        await post(app, "delivered")
        await settled(app, "old")
        outputs.down = {"hook"}
        await post(app, "owed-1", "owed-2")
        outputs.write(new={"path": "hook", "renamed_from": "old"})
        await app.relay.reloader.reload()
        assert list(app.relay.workers) == ["new"]
        outputs.down = set()
        await post(app, "after")
        await settled(app, "new")
        assert outputs.got["hook"] == Counter(["delivered", "owed-1", "owed-2", "after"])
        assert app.relay.journal is not None
        assert not await app.relay.journal.orphans()
        assert set((await states(app, "new")).values()) == {State.DELIVERED}
        assert not await states(app, "old")
    async with running(outputs) as app:  # renamed_from may stay
        await post(app, "again")
        await settled(app, "new")
    assert outputs.got["hook"]["again"] == 1
    assert outputs.got["hook"]["delivered"] == 1


@pytest.mark.parametrize(
    ("start", "expected"), [("now", set()), ("beginning", {"a", "b"}), ("24h", {"a", "b"}), ("1ms", set())]
)
async def test_where_a_new_output_begins(outputs: Outputs, start: str, expected: set[str]) -> None:
    outputs.write(first={})
    async with running(outputs) as app:
        await post(app, "a", "b")
        await asyncio.sleep(0.01)  # older than 1ms
        outputs.write(first={}, new={"start_from": start})
        await app.relay.reloader.reload()
        await post(app, "c")
        await settled(app, "new")
        assert outputs.uuids("new") == expected | {"c"}
        assert set(await states(app, "new")) == expected | {"c"}
        await settled(app, "first")
        assert outputs.got["first"] == Counter("abc")


async def test_a_changed_worker_finishes_what_is_under_way(outputs: Outputs) -> None:
    outputs.held["slow"] = asyncio.Event()
    outputs.write(slow={}, quick={})
    async with running(outputs) as app:
        slow = app.relay.workers["slow"]
        await post(app, "a", "b")
        await asyncio.wait_for(arrived(outputs, "slow", 1), 30)
        outputs.write(slow={"timeout": "9s"}, quick={"timeout": "9s"}, new={})
        reload = asyncio.create_task(app.relay.reloader.reload())
        while "new" not in app.relay.workers:
            await asyncio.sleep(0.001)
        await post(app, "c")
        for name in ("quick", "new"):
            await settled(app, name)
        assert app.relay.workers["slow"] is slow, "it waits for the answer, and nobody else does"
        assert not reload.done()
        outputs.held["slow"].set()
        assert await reload
        await settled(app, "slow")
        assert outputs.got["slow"] == outputs.got["quick"] == Counter("abc")
        assert outputs.got["new"] == Counter("c")
        assert app.relay.workers["slow"].status().outcomes["delivered"] == 3, "counts go on"


async def test_the_relay_stops_in_the_middle_of_a_reload(outputs: Outputs) -> None:
    outputs.held["slow"] = asyncio.Event()
    outputs.write(slow={})
    async with running(outputs) as app:
        await post(app, "a", "b")
        await asyncio.wait_for(arrived(outputs, "slow", 1), 30)
        outputs.write(slow={"concurrency": 2}, new={})
        app.relay.reloader.ask()
        while "new" not in app.relay.workers:
            await asyncio.sleep(0.001)
        asyncio.get_running_loop().call_soon(outputs.held["slow"].set)  # when it has begun to stop
    assert outputs.got["slow"]["a"] == 1
    async with running(outputs) as app:
        await settled(app, "slow")
    assert outputs.got["slow"] == Counter("ab")


async def test_reloads_under_load_drop_and_double_nothing(outputs: Outputs) -> None:
    """`stays` and the ever changing `moves` get each alert once; `comes` those of its times at most once."""
    shapes: list[dict[str, dict[str, Any]]] = [
        {"stays": {}, "moves": {"timeout": "8s"}},
        {"stays": {}, "moves": {"match": "priority >= debug", "concurrency": 3}, "comes": {}},
        {
            "moves": {"minimum_priority": "debug"},
            "stays": {},
            "late": {"path": "comes", "renamed_from": "comes"},
        },
        {"stays": {}, "moves": {}, "comes": {"enabled": "false"}},
    ]
    outputs.write(**{name: dict(settings) for name, settings in shapes[0].items()})
    async with running(outputs) as app:
        stays = app.relay.workers["stays"]
        sent: list[str] = []
        over = asyncio.Event()

        async def load_it(lane: int) -> None:
            while not over.is_set():
                uuid = f"{lane}-{len(sent)}"
                await post(app, uuid, priority=("Critical", "Warning", "Debug")[lane])
                sent.append(uuid)

        senders = [asyncio.create_task(load_it(lane)) for lane in range(3)]
        for turn in range(1, 25):
            shape = {name: dict(settings) for name, settings in shapes[turn % len(shapes)].items()}
            outputs.write(**shape)
            if turn % 5 == 0:
                outputs.file.write_text(outputs.file.read_text() + "nonsense: [1\n")
            good = await app.relay.reloader.reload()
            assert good == (turn % 5 != 0)
            assert app.relay.workers["stays"] is stays
            before = len(sent)
            while len(sent) < before + 10:
                await asyncio.sleep(0.001)
        over.set()
        await asyncio.gather(*senders)
        await settled(app, "stays")
        await settled(app, "moves")
        assert app.relay.reloader.reloads.refused == 4
        for name in ("stays", "moves"):
            got = outputs.got[name]
            assert set(sent) <= set(got)
            assert max(got.values()) == 1
        assert max(outputs.got["comes"].values()) == 1
        assert 0 < len(outputs.got["comes"]) < len(sent)
