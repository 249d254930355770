"""Streams of write-once records, queues, leases and hand-backs on NATS JetStream.

Everything is a plain request, as ops/guide/wire.md has it, so that the page can be read beside it.
"""

import asyncio
import json
import secrets
from dataclasses import dataclass

import nats
import nats.errors

BUCKETS = {
    # name: (MaxAge of all keys in ns, whether single keys have a time limit)
    "itool_handbacks": (30 * 24 * 3600 * 10**9, False),
    "itool_leases": (0, True),
}
MAX_ATTEMPTS = 5


class Unavailable(Exception):
    """The server does not answer, or has no room. No item is at fault: wait, and try again."""


class NoRun(Exception):
    """The run has no stream: not yet, or no longer."""


class Lost(Exception):
    """The lease ran out, and another process may have it."""


@dataclass
class Message:
    subject: str
    headers: dict
    data: bytes
    sequence: int


class Broker:
    def __init__(self, nc, timeout=5.0):
        self.nc, self.timeout = nc, timeout

    @classmethod
    async def connect(cls, url, **options):
        """Connect to nats://[TOKEN@]HOST:PORT, or several with commas between. Reconnects without an end."""
        async def quiet(_):
            pass
        options = {"max_reconnect_attempts": -1, "reconnect_time_wait": 1, "error_cb": quiet} | options
        return cls(await nats.connect([u.strip() for u in url.split(",")], **options))

    async def ask(self, subject, payload=b"", headers=None, timeout=None, own_inbox=False):
        """One request and its answer, which may be an error of the server.

        own_inbox: the answer comes to an inbox of its own, so that the server sees when nobody waits any more."""
        try:
            return await self.nc.request(subject, payload, timeout=timeout or self.timeout, old_style=own_inbox,
                                         headers=None if own_inbox else headers)  # nats-py sends none the old way
        except (nats.errors.Error, asyncio.TimeoutError, OSError) as e:
            raise Unavailable(f"{subject}: {e!r}") from None

    async def api(self, subject, body=None):
        """A request to $JS.API whose answer is JSON; an error has the member "error"."""
        m = await self.ask("$JS.API." + subject, json.dumps(body).encode() if body is not None else b"")
        return json.loads(m.data)

    async def publish_once(self, stream, subject, data, headers, ttl=None, after=0):
        """Store a message unless its subject has one; returns its sequence, or None: there is one already.

        after is the sequence of the subject's last message that this one may follow."""
        headers = dict(headers) | {"Nats-Expected-Stream": stream, "Nats-Expected-Last-Subject-Sequence": str(after)}
        if ttl:
            headers["Nats-TTL"] = f"{int(ttl)}s"
        while True:
            m = await self.ask(subject, data, headers)
            answer = json.loads(m.data)
            error = answer.get("error")
            if not error:
                return answer["seq"]
            code, text = error.get("err_code"), error.get("description", "")
            if code not in (10071, 10164) and not (code == 10077 and "per subject" in text):
                raise NoRun(stream) if code == 10059 else Unavailable(f"publish {subject}: {text} ({code})")
            # 10071 with sequence 0 also comes when the server cannot read its disk, and 10164 while another
            # publish of the subject is under way that may still fail: look.
            if after or await self.get(stream, subject) is not None:
                return None
            await asyncio.sleep(0.05)

    async def get(self, stream, subject):
        """The message of a subject, or None."""
        m = await self.ask(f"$JS.API.DIRECT.GET.{stream}.{subject}")
        headers = dict(m.headers or {})
        status = headers.get("Status", "")
        if status == "404":
            return None
        if status:
            raise Unavailable(f"get {subject}: {status} {headers.get('Description', '')}")
        sequence = int(headers["Nats-Sequence"])
        return Message(subject, own(headers), m.data, sequence)

    async def record(self, run, record, round, key):
        return await self.get("RUN_" + run, f"itool.run.{run}.{record}.{round}.{key}")

    async def runs(self):
        """The names of the runs that have a stream, sorted."""
        names, offset = [], 0
        while True:
            page = await self.api("STREAM.NAMES", {"subject": "itool.run.>", "offset": offset})
            names += page.get("streams") or []
            offset += len(page.get("streams") or [])
            if not page.get("streams") or offset >= page.get("total", 0):
                return sorted(n.removeprefix("RUN_") for n in names if n.startswith("RUN_"))

    async def queue(self, run, stage):
        """The configuration of a stage's queue, or None: the keeper has not made it yet."""
        answer = await self.api(f"CONSUMER.INFO.RUN_{run}.{stage}")
        error = answer.get("error")
        if not error:
            return answer["config"]
        if error.get("err_code") == 10059:
            raise NoRun(run)
        if error.get("err_code") == 10014:
            return None
        raise Unavailable(f"queue {stage} of {run}: {error.get('description')}")

    async def next(self, run, stage):
        """Take one item, or None: the queue is empty now. Nothing is prefetched."""
        try:
            m = await self.ask(f"$JS.API.CONSUMER.MSG.NEXT.RUN_{run}.{stage}", b'{"batch":1,"no_wait":true}',
                               timeout=2, own_inbox=True)
        except Unavailable:
            return None  # as many items are in work as the queue allows, or the server is away
        if not m.reply:
            return None  # a status: 404 no message, 408 expired, 409, 503
        return Delivery(self, run, stage, m)

    async def hint(self, run):
        await self.nc.publish("itool.hint." + run)

    async def bucket(self, name):
        """Make a bucket of keys, unless it exists."""
        if not (await self.api("STREAM.INFO.KV_" + name)).get("error"):
            return
        age, single = BUCKETS[name]
        await self.api("STREAM.CREATE.KV_" + name, {
            "name": "KV_" + name, "subjects": [f"$KV.{name}.>"], "storage": "file", "retention": "limits",
            "discard": "new", "max_msgs_per_subject": 1, "max_bytes": -1, "max_msgs": -1, "max_consumers": -1,
            "max_age": age, "allow_rollup_hdrs": True, "deny_delete": True, "num_replicas": 1,
            **({"allow_msg_ttl": True, "subject_delete_marker_ttl": 10**9} if single else {}),
        })

    async def last(self, name, key):
        """The last message of a key, also one that says that the key is gone; None: there is none."""
        answer = await self.api("STREAM.MSG.GET.KV_" + name, {"last_by_subj": f"$KV.{name}.{key}"})
        if answer.get("error"):
            return None
        return answer["message"]

    async def acquire(self, name, holder, ttl):
        """Take a lease for ttl seconds, or None: another process has it."""
        await self.bucket("itool_leases")
        value = f"{holder}\n{secrets.token_hex(13)}".encode()
        subject, after = "$KV.itool_leases." + name, 0
        while True:
            sequence = await self.publish_once_kv(subject, value, after, ttl)
            if sequence:
                return Lease(self, subject, value, ttl, sequence)
            last = await self.last("itool_leases", name)
            if last is not None and not marker(last):
                return None
            after = last["seq"] if last else 0

    async def publish_once_kv(self, subject, value, after, ttl=None, headers=None):
        """Write a key if its last message has this sequence; returns the new one, or None."""
        headers = dict(headers or {}) | {"Nats-Expected-Last-Subject-Sequence": str(after)}
        if ttl:
            headers["Nats-TTL"] = f"{int(ttl)}s"
        answer = json.loads((await self.ask(subject, value, headers)).data)
        error = answer.get("error")
        if error and error.get("err_code") not in (10071, 10164):
            raise Unavailable(f"{subject}: {error.get('description')}")
        return None if error else answer["seq"]


def own(headers):
    """The headers of the publisher, without those that the server adds."""
    return {k: v for k, v in headers.items() if not k.startswith("Nats-")}


def marker(message):
    """Whether a message of a bucket says that its key was deleted or has expired."""
    import base64
    text = base64.b64decode(message.get("hdrs") or "").decode()
    return "KV-Operation:" in text or "Nats-Marker-Reason:" in text


class Lease:
    """The right to do a round alone. It saves work and promises nothing: the write-once record decides."""

    def __init__(self, broker, subject, value, ttl, sequence):
        self.broker, self.subject, self.value, self.ttl, self.sequence = broker, subject, value, ttl, sequence

    async def renew(self):
        sequence = await self.broker.publish_once_kv(self.subject, self.value, self.sequence, self.ttl)
        if sequence is None:
            import base64
            last = await self.broker.last("itool_leases", self.subject.removeprefix("$KV.itool_leases."))
            if last is None or base64.b64decode(last.get("data") or "") != self.value:
                raise Lost(self.subject)
            sequence = last["seq"]  # the answer to an earlier renewal was lost
        self.sequence = sequence

    async def release(self):
        await self.broker.publish_once_kv(self.subject, b"", self.sequence, 60, {
            "KV-Operation": "PURGE", "Nats-Rollup": "sub"})


class Delivery:
    """One item that this worker has in work."""

    def __init__(self, broker, run, stage, m):
        self.broker, self.run, self.stage, self.reply = broker, run, stage, m.reply
        fields = m.reply.split(".")  # $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.…, or with domain and account
        at = 4 if len(fields) < 11 else 6
        self.delivered, sequence = int(fields[at]), int(fields[at + 1])
        self.message = Message(m.subject, own(dict(m.headers or {})), m.data, sequence)
        self.hand_back_key = f"{run}.{stage}.{sequence}"

    async def failed_attempts(self):
        """Earlier deliveries that were not handed back: errors, crashes, missed heartbeats."""
        if self.delivered <= 1:
            return 0
        return max(self.delivered - 1 - (await self._hand_backs())[0], 0)

    async def _hand_backs(self):
        import base64
        await self.broker.bucket("itool_handbacks")
        last = await self.broker.last("itool_handbacks", self.hand_back_key)
        if last is None or marker(last):
            return 0, last["seq"] if last else 0
        return int(base64.b64decode(last["data"])), last["seq"]

    async def heartbeat(self):
        await self._tell(b"+WPI")

    async def ack(self):
        await self._tell(b"+ACK")

    async def retry(self, seconds):
        """Give the item back after a failed attempt; it comes again after the delay."""
        await self._tell(b'-NAK {"delay": %d}' % int(seconds * 1e9))

    async def hand_back(self, seconds=0):
        """Give the item back without a failure: it is recorded first, so that it is not counted as one."""
        while True:
            n, after = await self._hand_backs()
            subject = "$KV.itool_handbacks." + self.hand_back_key
            if await self.broker.publish_once_kv(subject, str(n + 1).encode(), after):
                break
        await self.retry(seconds)

    async def _tell(self, signal):
        await self.broker.ask(self.reply, signal)
