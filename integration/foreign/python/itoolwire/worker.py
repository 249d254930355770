"""The loop of a worker: fetch, check, open, process, encode, publish, ack.

A stage is a class with the attributes of `Stage` and a method process(item) that runs in a thread and
returns the rows of its result. Everything random in it comes from item.seed.
"""

import asyncio
import hashlib
import json
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field

import zstandard

from . import checkpoint, header, records
from .broker import MAX_ATTEMPTS, Lost, NoRun, Unavailable
from .records import Newer, Reject
from .store import Missing

INLINE = 256 << 10  # bytes of the largest body that travels in its message


class Stage:
    name = ""          # also the queue and the section of the configuration
    wakes = ""         # the record of the items; with gather, the record whose gather it awaits
    reads = ""         # the newest schema of wakes that it reads
    writes = ""        # the record of its result
    schema = ""        # the schema of its result
    gather = False     # it works on a whole round
    next_round = False  # its result belongs to the round after
    work = ""          # what the rows are made by: a changed program has another name

    def process(self, item):
        raise NotImplementedError


class Stopped(Exception):
    """The worker was told to stop, or the run is over; no failure."""


@dataclass
class Item:
    """What a stage gets. Its methods may be called from the stage's thread."""

    headers: dict
    config: dict              # the stage's section of the run's settings
    rows: list                # of the message; of a gather: key and failed
    worker: object
    run: str
    round: int
    stop: threading.Event = field(default_factory=threading.Event)
    loop: object = None
    folder: str = ""          # of its checkpoints in the store
    failures: int = 0
    delivery: object = None

    @property
    def seed(self):
        return int(self.headers["itool-seed"])

    @property
    def policy(self):
        return self.headers.get("itool-policy", "")

    @property
    def store(self):
        return self.worker.store

    def wait(self, coroutine):
        """Run a coroutine of the worker from the stage's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def check(self):
        """Raise Stopped if the worker was told to stop; call it in every long loop."""
        if self.stop.is_set():
            raise Stopped()

    def batches(self, record, round, keys, schema):
        """The rows and headers of records of the run, in the order of keys: give them in the gather's order."""
        for key in keys:
            self.check()
            yield self.wait(self.worker.read(self.run, record, round, key, schema))

    def keys(self, record, round):
        """The keys of a round's results, as its gather lists them."""
        rows, _ = self.wait(self.worker.read(self.run, "gather", round, record, "gather/v1"))
        return [r["key"] for r in rows if not r["failed"]]

    def progress(self, done, total, unit, detail=""):
        row = {"stage": self.worker.stage.name, "key": self.worker.stage.writes, "done": done, "total": total,
               "unit": unit, "detail": detail}
        self.wait(self.worker.broker.nc.publish(f"itool.progress.{self.run}", records.encode("progress/v1", [row])))


class Worker:
    """Serves one stage of all runs, or of one. Run it once."""

    def __init__(self, broker, store, stage, name, only=None, log=None):
        self.broker, self.store, self.stage, self.name, self.only = broker, store, stage, name, only
        self.stopping = asyncio.Event()
        self.wake = asyncio.Event()
        self.log = log or (lambda text: print(text, file=sys.stderr, flush=True))
        self.queues, self.said, self.over, self.descriptions = {}, {}, {}, {}
        self.last, self.abandoned = "", False

    async def run(self):
        """Work until stopping is set. An item in work then goes back, which is no failed attempt."""
        async def hinted(_):
            self.wake.set()
        await self.broker.nc.subscribe("itool.hint.*", cb=hinted)
        pause = 0.02
        while not self.stopping.is_set():
            try:
                delivery = await self.fetch()
            except (Unavailable, OSError) as e:
                self.say("", f"waiting: {e}")
                delivery = None
            if delivery:
                pause = 0.02
                await self.serve(delivery)
                continue
            self.wake.clear()
            waits = [asyncio.ensure_future(e.wait()) for e in (self.wake, self.stopping)]
            await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for w in waits:
                w.cancel()
            pause = min(2 * pause, 2.0)

    def say(self, about, text):
        """Log a text, once as long as it stays the same."""
        if self.said.get(about) != text:
            self.said[about] = text
            self.log(text)

    async def fetch(self):
        """One item of the runs in turn, those with a higher line.priority first; None: there is none now."""
        runs = [self.only] if self.only else await self.broker.runs()
        runs = [r for r in runs if r > self.last] + [r for r in runs if r <= self.last]
        able = []
        for run in runs:
            try:
                if not await self.is_over(run) and (d := await self.describe(run)):
                    able.append((-d["priority"], run))
            except NoRun:
                continue
        for _, run in sorted(able, key=lambda x: x[0]):
            if run not in self.queues:
                config = await self.broker.queue(run, self.stage.name)
                if config is None:
                    continue
                self.queues[run] = config
            delivery = await self.broker.next(run, self.stage.name)
            if delivery:
                self.last = run
                return delivery
        return None

    async def is_over(self, run):
        """Whether a run has ended or was cancelled. The items in its queue stay there."""
        if time.monotonic() < self.over.get(run, 0):
            return True
        for record, key in (("end", "end"), ("cancel", "run")):
            if await self.broker.record(run, record, 0, key):
                self.over[run] = time.monotonic() + 60
                return True
        return False

    async def describe(self, run):
        """What a worker needs of the run's record; None: it is not there, or names another store."""
        if known := self.descriptions.get(run):
            if time.monotonic() < known["until"]:
                return known
        m = await self.broker.record(run, "run", 0, "run")
        if m is None:
            return None
        [row], _ = await self.open(m, "run/v2")
        if row["store"]:
            try:
                have = (await asyncio.to_thread(self.store.get, "itool-store")).decode()
            except Missing:
                have = "none"
            if have != row["store"]:
                self.say("store " + run, f"waiting: store: run {run} has its files in store {row['store']}, this worker "
                                         f"has {have} ({self.store.root}): give it the run's --store")
                return None
        config = json.loads(row["config"])
        self.descriptions[run] = {
            "until": time.monotonic() + 60, "digest": row["config_digest"], "config": config,
            "priority": config.get("line", {}).get("priority", 0), "sha256": m.headers.get("itool-sha256", ""),
        }
        return self.descriptions[run]

    async def read(self, run, record, round, key, schema):
        """The rows and headers of one record of a run."""
        m = await self.hold(self.broker.record, run, record, round, key)
        if m is None:
            raise Unavailable(f"{record}.{round}.{key} is not there yet")
        return await self.open(m, schema)

    async def open(self, m, schema):
        """The rows and headers of a message; a body behind a claim is fetched."""
        header.check(m.headers)
        body = m.data
        if claim := m.headers.get("itool-claim"):
            body = await asyncio.to_thread(self.claimed, claim, m.headers.get("itool-size", ""))
        rows = await asyncio.to_thread(
            records.decode, schema, m.headers.get("itool-schema", ""), body, m.headers.get("itool-sha256", ""),
            header.number(m.headers, "itool-rows"))
        return rows, m.headers

    def claimed(self, key, size):
        if not size.isdigit() or int(size) > records.MAX_BODY:
            raise Reject(f"header itool-size: {size[:64]!r} is no size")
        packed = self.store.get(key)
        try:
            body = zstandard.ZstdDecompressor().decompressobj().decompress(packed[:int(size) + (1 << 16)])
        except zstandard.ZstdError as e:
            raise Reject(f"claim {key}: {e}") from None
        if len(body) != int(size):
            raise Reject(f"claim {key}: {len(body)} bytes, the message says {size}")
        return body

    async def hold(self, act, *args):
        """Call until broker and store answer: that they are away is no failure of the item."""
        pause = 0.25
        while True:
            try:
                return await act(*args)
            except (Unavailable, OSError) as e:
                self.say("hold", f"waiting: {e}")
                await self.pause(pause)
                if self.stopping.is_set():
                    raise Stopped() from None
                pause = min(2 * pause, 30)

    async def pause(self, seconds):
        """Sleep, but not longer than until the worker is told to stop."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    async def serve(self, d):
        """Give one item its result or its failure record, or give it back."""
        ack_wait = self.queues[d.run]["ack_wait"] / 1e9
        stop = threading.Event()
        beat = asyncio.create_task(self.beat(d, ack_wait / 3, stop))
        held = {"lease": None}
        try:
            work = asyncio.create_task(self.work(d, stop, held, ack_wait))
            stopping = asyncio.create_task(self.stopping.wait())
            await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                stop.set()  # the stage's thread ends at its next check
                await asyncio.wait([work], timeout=5)
            stopping.cancel()
            if not work.done():
                self.abandoned = True  # the thread is in a long computation, whose result is not wanted any more
                work.cancel()
                await self.end(d.hand_back)
                return
            await self.conclude(d, work)
        finally:
            beat.cancel()
            if held["lease"]:
                await self.end(held["lease"].release)

    async def conclude(self, d, work):
        """Tell the broker what became of an item."""
        try:
            work.result()
        except Stopped:
            return await self.end(d.hand_back)
        except NoRun:
            return None
        except (Newer, Missing) as e:
            pause = min(5 * 2 ** min(d.delivered - 1, 10), 120)
            self.say(d.message.subject, f"waiting: {e}; {d.message.subject} goes back for {pause} s")
            return await self.end(d.hand_back, pause)
        except Reject as e:
            return await self.give_up(d, "rejected", str(e), (d.delivered or 1))
        except Exception as e:  # a fault of the stage: the item comes again, five times at most
            failures = await self.hold(d.failed_attempts)
            self.log(f"{d.message.subject}: attempt {failures + 1}: {''.join(traceback.format_exception(e))}")
            if failures + 1 >= MAX_ATTEMPTS:
                return await self.give_up(d, "attempts", repr(e), MAX_ATTEMPTS)
            return await self.end(d.retry, 2 ** failures)
        return await self.hold(d.ack)

    async def end(self, act, *args):
        """Tell the broker, if it answers: otherwise the item comes again by itself."""
        try:
            await act(*args)
        except (Unavailable, OSError, Lost) as e:
            self.log(f"the broker was not told: {e}")

    async def beat(self, d, seconds, stop):
        """Keep the item, and look whether the run is over."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await d.heartbeat()
                if self.stage.gather and await self.is_over(d.run):
                    stop.set()
            except (Unavailable, NoRun, OSError) as e:
                self.say("heartbeat", f"heartbeat: {e}")

    def answer(self, d):
        """Round and key of the item's result."""
        _, _, _, _, round, key = d.message.subject.split(".")
        return int(round) + self.stage.next_round, self.stage.writes if self.stage.gather else key

    async def work(self, d, stop, held, ack_wait):
        if not await self.hold(self.is_item, d):
            return None  # it is no item of the round: it is dropped without a result
        failures = await self.hold(d.failed_attempts)
        round, key = self.answer(d)
        if await self.hold(self.broker.record, d.run, self.stage.writes, round, key):
            return None  # the result is there, and only the ack was lost
        if failures >= MAX_ATTEMPTS:
            raise Reject(f"{failures} workers died while they held this item")
        rows, headers = await self.open(d.message, "gather/v1" if self.stage.gather else self.stage.reads)
        self.same_item(d, headers)
        run = self.descriptions[d.run]
        if run["digest"] != headers.get("itool-config"):
            raise Reject(f"the item was made under configuration {headers.get('itool-config', '')[:12]}, "
                         f"the run has {run['digest'][:12]}")
        if self.stage.gather:
            held["lease"] = await self.lease(d, round, ack_wait, stop)
            if await self.hold(self.broker.record, d.run, self.stage.writes, round, key):
                return None  # the former holder has finished meanwhile
        item = Item(headers, run["config"].get(self.stage.name, {}), rows, self, d.run, int(headers["itool-round"]),
                    stop, asyncio.get_running_loop(), self.resume_folder(d, run, headers), failures, d)
        start = time.monotonic()
        made = await asyncio.to_thread(self.stage.process, item)
        await self.publish(d, headers, self.stage.writes, self.stage.schema, made, round, key,
                           time.monotonic() - start)
        return None

    async def is_item(self, d):
        """Whether the manifest of the round lists the item: the subject is open to every client."""
        if self.stage.gather:
            return True
        _, _, run, record, round, key = d.message.subject.split(".")
        awaited = {"candidate": "pair", "root": "pair", "buffer": "score", "case": "verdict"}[record]
        m = await self.broker.record(run, "manifest", round, awaited)
        if m is None:
            return record == "candidate"  # a task never comes before its manifest
        rows, _ = await self.open(m, "manifest/v1")
        return any(r["key"] == key for r in rows)

    def same_item(self, d, headers):
        _, _, run, _, round, key = d.message.subject.split(".")
        for name, want in (("itool-run", run), ("itool-round", round), ("itool-key", key)):
            if headers.get(name) != want:
                raise Reject(f"{d.message.subject}: header {name} says {headers.get(name, '')[:64]!r}")

    async def lease(self, d, round, ack_wait, stop):
        """Wait for the lease of a whole round, and renew it while the item is in work."""
        name = f"{d.run}-{self.stage.name}-{round}"
        while not (lease := await self.hold(self.broker.acquire, name, self.name, max(ack_wait, 1))):
            self.say(name, f"waiting for the lease {name}")
            await self.pause(ack_wait / 3)
            if stop.is_set() or self.stopping.is_set():
                raise Stopped()

        async def renew():
            while not stop.is_set():
                await asyncio.sleep(ack_wait / 3)
                try:
                    await lease.renew()
                except Lost:
                    return self.log(f"lost the lease {name}: another worker may do the same; the first result counts")
                except Unavailable:
                    pass
        self.renewing = asyncio.create_task(renew())
        return lease

    def resume_folder(self, d, run, headers):
        """The folder of an item's checkpoints: <item> is a digest of what it belongs to and of who writes them.

        A checkpoint of another program must not be resumed, so its name is part of the digest."""
        text = "".join(s + "\n" for s in (run["sha256"], headers.get("itool-policy", ""), headers["itool-sha256"],
                                          headers["itool-key"], self.stage.work))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return f"runs/{d.run}/resume/{self.stage.name}-{self.answer(d)[0]}-{digest}"

    async def publish(self, d, headers, record, schema, rows, round, key, seconds=None):
        body = await asyncio.to_thread(records.encode, schema, rows)
        h = {k: headers[k] for k in header.CARRIED if k in headers} | {
            "itool-run": d.run, "itool-round": str(round), "itool-key": key, "itool-schema": schema,
            "itool-rows": str(len(rows)), "itool-sha256": hashlib.sha256(body).hexdigest(), "itool-worker": self.name}
        h.setdefault("itool-seed", "0")
        if digest := headers.get("itool-sha256"):
            h["itool-input"] = digest
        if seconds is not None:
            h["itool-seconds"] = f"{seconds:.3f}"
        if len(body) > INLINE:
            h["itool-claim"], h["itool-size"] = f"runs/{d.run}/bodies/{h['itool-sha256']}.zst", str(len(body))
            packed = zstandard.ZstdCompressor().compress(body)
            await self.hold(asyncio.to_thread, self.store.put_if_absent, h["itool-claim"], packed)
            body = b""
        subject = f"itool.run.{d.run}.{record}.{round}.{key}"
        await self.hold(self.broker.publish_once, "RUN_" + d.run, subject, body, h)
        await self.end(self.broker.hint, d.run)

    async def give_up(self, d, reason, error, attempts):
        """Write a failure record in the place of the result, then ack."""
        self.log(f"{d.message.subject}: given up ({reason}): {error}")
        _, _, run, _, round, key = d.message.subject.split(".")
        row = {"stage": self.stage.name, "subject": d.message.subject, "attempts": min(attempts, MAX_ATTEMPTS),
               "reason": reason, "error": error, "worker": self.name}
        sound = {}
        for name in ("itool-policy", "itool-config", "itool-sha256"):  # only values that a reader accepts
            try:
                value = {name: d.message.headers[name]}
                header.check(value)
                sound |= value
            except (KeyError, Reject):
                pass
        await self.publish(d, sound, "failed", "failed/v1", [row], int(round), key)
        await self.hold(d.ack)


def policy_folder(item, cache):
    """The files of the item's policy in a local folder: config.json, weights, tokenizer, template, adapter."""
    return checkpoint.fetch(item.store, checkpoint.POLICIES, item.policy, cache)
