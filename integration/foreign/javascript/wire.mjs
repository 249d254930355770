// The wire of itool for a stage that takes one item at a time: see ops/guide/wire.md, whose rules this file
// follows. Records, the disk store, the broker, and the loop of a worker.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import * as arrow from "apache-arrow";
import { decompress } from "fzstd";
import { connect, headers as newHeaders } from "nats";

export class Reject extends Error {} // no retry can cure it
export class Wait extends Error {}   // another worker, or a later time, can

const TYPES = {
  s: () => new arrow.Utf8(), i: () => new arrow.Int32(), u: () => new arrow.Uint64(), d: () => new arrow.Float64(),
  b: () => new arrow.Bool(), I: () => new arrow.List(new arrow.Field("item", new arrow.Int32(), false)),
};

// name:type, where s is utf8, i int32, u uint64, d float64, b bool, I a list of int32.
const COLUMNS = {
  "run/v2": "name:s created:s seed:u config:s config_digest:s base:s dataset:s store:s",
  "manifest/v1": "key:s",
  "candidate/v2": "node:i parent:i tokens:I text:s log_prob:d prior:d visits:i q:d v:d reward:d outcome:d self_eval:d "
    + "terminal:b cut:b pass:b error_type:s example_id:s tools:s reference:s acceptable:s category:s calls:i",
  "candidate/v1": "node:i parent:i tokens:I text:s log_prob:d prior:d visits:i q:d v:d reward:d outcome:d self_eval:d "
    + "terminal:b cut:b pass:b error_type:s example_id:s",
  "pair/v1": "example_id:s node:i prompt_ids:I chosen_ids:I rejected_ids:I chosen_text:s rejected_text:s chosen_q:d "
    + "rejected_q:d similarity:d reason:s other_mode:s",
  "failed/v1": "stage:s subject:s attempts:i reason:s error:s worker:s",
};

const columns = (schema) => COLUMNS[schema].split(" ").map((c) => c.split(":"));
export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

// encode is the body of a batch; rows are objects.
export function encode(schema, rows) {
  const fields = columns(schema).map(([name, t]) => new arrow.Field(name, TYPES[t](), false));
  const children = fields.map((f) => arrow.vectorFromArray(rows.map((r) => r[f.name]), f.type).data[0]
    ?? arrow.makeData({ type: f.type }));
  const table = new arrow.Schema(fields);
  const data = arrow.makeData({ type: new arrow.Struct(fields), length: rows.length, nullCount: 0, children });
  const writer = new arrow.RecordBatchStreamWriter();
  writer.reset(undefined, table);
  if (rows.length > 0) writer.write(new arrow.RecordBatch(table, data));
  return writer.finish().toUint8Array(true);
}

// decode is the rows of a batch, which may come from anywhere. want is the reader's schema.
export function decode(want, have, body, digest, count) {
  readable(want, have);
  if (sha256(body) !== digest) throw new Reject(`${have}: the body has another digest than its header says`);
  let table;
  try {
    table = arrow.tableFromIPC(body);
  } catch (e) {
    throw new Reject(`${have}: ${e.message}`);
  }
  const names = columns(have).map(([name]) => name);
  if (table.schema.fields.map((f) => f.name).join() !== names.join()) {
    throw new Reject(`${have}: its columns are ${table.schema.fields.map((f) => f.name)}`);
  }
  columns(have).forEach(([name, t], i) => {
    const type = table.schema.fields[i].type, list = t === "I";
    if (type.typeId !== TYPES[t]().typeId || list && !arrow.DataType.isInt(type.children[0].type)) {
      throw new Reject(`${have}: column ${name} is ${type}`);
    }
    if (table.getChildAt(i).nullCount > 0) throw new Reject(`${have}: column ${name}: null is not allowed`);
  });
  if (table.numRows !== Number(count)) throw new Reject(`${have}: ${table.numRows} rows, the header says ${count}`);
  const vectors = names.map((name) => table.getChild(name));
  return Array.from({ length: table.numRows }, (_, r) => Object.fromEntries(names.map((name, i) => {
    const v = vectors[i].get(r);
    return [name, v instanceof arrow.Vector ? Array.from(v) : v];
  })));
}

function readable(want, have = "") {
  const [record, version] = want.split("/v"), [other, n] = have.split("/v");
  if (record !== other || !/^[1-9][0-9]*$/.test(n)) throw new Reject(`schema ${have.slice(0, 64)}, want ${want}`);
  if (Number(n) > Number(version)) throw new Wait(`needs ${have}`);
  if (Number(n) < Number(version) - 1) throw new Reject(`${have} is too old to be read`);
}

// Disk reads objects of a store in a folder. This worker's results travel in their messages.
export class Disk {
  constructor(spec) {
    if (!spec.startsWith("disk:")) throw new Error(`store ${spec}: this worker reads disk:PATH alone`);
    this.root = path.resolve(spec.slice("disk:".length));
  }

  async get(key) {
    if (key.length > 512 || !/^[A-Za-z0-9._=-]+(\/[A-Za-z0-9._=-]+)*$/.test(key) || key.split("/").some((n) => /^\.{1,2}$/.test(n))) {
      throw new Reject(`store: ${key.slice(0, 80)} is no key`);
    }
    let data;
    try {
      data = await readFile(path.join(this.root, "objects", key));
    } catch (e) {
      if (e.code === "ENOENT" || e.code === "ENOTDIR") throw new Wait(`store: no object ${key}`);
      throw e;
    }
    const body = data.subarray(0, -114);
    const trailer = /^\nitool-object\/1 sha256=([0-9a-f]{64}) size=([0-9]{20})\n$/.exec(data.subarray(-114).toString());
    if (!trailer || Number(trailer[2]) !== body.length || trailer[1] !== sha256(body)) {
      throw new Error(`store: object ${key} is damaged`);
    }
    return body;
  }
}

class Unavailable extends Error {} // the server does not answer or has no room: wait

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const own = (m) => Object.fromEntries([...(m.headers ?? [])].filter(([k]) => !k.startsWith("Nats-")).map(([k, v]) => [k, v[0]]));

export class Broker {
  static async connect(address) {
    const servers = address.split(",").map((a) => new URL(a.trim()));
    const { username, password } = servers[0];
    const login = password ? { user: decodeURIComponent(username), pass: decodeURIComponent(password) }
      : username ? { token: decodeURIComponent(username) } : {};
    const b = new Broker();
    b.nc = await connect({ servers: servers.map((s) => s.host), maxReconnectAttempts: -1, name: "itool javascript", ...login });
    return b;
  }

  async ask(subject, payload = "", headers, options = {}) {
    const h = newHeaders();
    for (const [k, v] of Object.entries(headers ?? {})) h.set(k, v);
    try {
      return await this.nc.request(subject, payload, { timeout: 5000, headers: headers ? h : undefined, ...options });
    } catch (e) {
      throw new Unavailable(`${subject}: ${e.message}`);
    }
  }

  async api(subject, body) {
    return (await this.ask("$JS.API." + subject, body ? JSON.stringify(body) : "")).json();
  }

  // record is a message of a run, or null.
  async record(run, record, round, key) {
    const m = await this.ask(`$JS.API.DIRECT.GET.RUN_${run}.itool.run.${run}.${record}.${round}.${key}`);
    if (m.headers?.get("Status") === "404" || m.headers?.code === 404) return null;
    return { headers: own(m), data: m.data };
  }

  // publishOnce stores a record unless its subject has one: that is success, too.
  async publishOnce(run, subject, body, headers) {
    for (;;) {
      const { error } = (await this.ask(subject, body, {
        ...headers, "Nats-Expected-Stream": "RUN_" + run, "Nats-Expected-Last-Subject-Sequence": "0",
      })).json();
      if (!error) return;
      const conflict = [10071, 10164].includes(error.err_code)
        || error.err_code === 10077 && error.description.includes("per subject");
      if (!conflict) throw new Unavailable(`publish ${subject}: ${error.description}`);
      const [record, round, key] = subject.split(".").slice(3);
      if (await this.record(run, record, round, key)) return;
      await sleep(50);
    }
  }

  // key is the last value of a key of a bucket, with its sequence.
  async key(bucket, key) {
    const { message } = await this.api(`STREAM.MSG.GET.KV_${bucket}`, { last_by_subj: `$KV.${bucket}.${key}` });
    return message ? { value: Buffer.from(message.data ?? "", "base64").toString(), seq: message.seq } : { value: "0", seq: 0 };
  }

  // handBack counts a hand-back, so that it is not counted as a failed attempt.
  async handBack(run, stage, seq) {
    if ((await this.api("STREAM.INFO.KV_itool_handbacks")).error) {
      await this.api("STREAM.CREATE.KV_itool_handbacks", {
        name: "KV_itool_handbacks", subjects: ["$KV.itool_handbacks.>"], storage: "file", retention: "limits",
        discard: "new", max_msgs_per_subject: 1, max_bytes: -1, max_msgs: -1, max_consumers: -1,
        max_age: 30 * 24 * 3600 * 1e9, allow_rollup_hdrs: true, deny_delete: true, num_replicas: 1,
      });
    }
    const key = `${run}.${stage}.${seq}`;
    for (let done = false; !done;) {
      const last = await this.key("itool_handbacks", key);
      const answer = await this.ask("$KV.itool_handbacks." + key, String(Number(last.value) + 1),
        { "Nats-Expected-Last-Subject-Sequence": String(last.seq) });
      done = !answer.json().error;
    }
  }
}

// Worker serves one stage of all runs. stage has name, wakes, reads, writes, schema and process(rows, config).
export class Worker {
  constructor(broker, store, stage, name) {
    Object.assign(this, { broker, store, stage, name, stopping: false, runs: new Map(), over: new Set(), last: "" });
  }

  stop() {
    this.stopping = true;
    this.wake?.();
  }

  async run() {
    const hints = this.broker.nc.subscribe("itool.hint.*", { callback: () => this.wake?.() });
    for (let pause = 20; !this.stopping;) {
      let item = null;
      try {
        item = await this.fetch();
      } catch (e) {
        console.error("waiting:", e.message);
      }
      if (item) {
        pause = 20;
        await this.serve(item);
        continue;
      }
      await new Promise((done) => { this.wake = done; setTimeout(done, pause); });
      pause = Math.min(2 * pause, 2000);
    }
    hints.unsubscribe();
  }

  async fetch() {
    const { streams } = await this.broker.api("STREAM.NAMES", { subject: "itool.run.>", offset: 0 });
    const runs = (streams ?? []).filter((s) => s.startsWith("RUN_")).map((s) => s.slice(4)).sort();
    const able = [];
    for (const run of [...runs.filter((r) => r > this.last), ...runs.filter((r) => r <= this.last)]) {
      const d = await this.isOver(run) ? null : await this.describe(run);
      if (d) able.push([d.config.line?.priority ?? 0, run]);
    }
    for (const [, run] of able.sort((a, b) => b[0] - a[0])) {
      const m = await this.broker.ask(`$JS.API.CONSUMER.MSG.NEXT.RUN_${run}.${this.stage.name}`,
        '{"batch":1,"no_wait":true}', undefined, { noMux: true, timeout: 2000 }).catch(() => null);
      if (!m?.reply) continue; // a status: the queue is empty now
      this.last = run;
      const f = m.reply.split("."), at = f.length < 11 ? 4 : 6;
      return {
        run, subject: m.subject, reply: m.reply, headers: own(m), data: m.data, deliveries: Number(f[at]), seq: Number(f[at + 1]),
      };
    }
    return null;
  }

  async isOver(run) {
    if (!this.over.has(run) && (await this.broker.record(run, "end", 0, "end") || await this.broker.record(run, "cancel", 0, "run"))) {
      this.over.add(run);
      setTimeout(() => this.over.delete(run), 60000).unref();
    }
    return this.over.has(run);
  }

  // describe is what a worker needs of a run; null: its record is not there yet, or it names another store.
  async describe(run) {
    if (this.runs.has(run)) return this.runs.get(run);
    const m = await this.broker.record(run, "run", 0, "run");
    if (!m) return null;
    const [row] = await this.open(m, "run/v2");
    const queue = await this.broker.api(`CONSUMER.INFO.RUN_${run}.${this.stage.name}`);
    if (queue.error) return null;
    const id = row.store ? (await this.store.get("itool-store").catch(() => "none")).toString() : "";
    if (id !== row.store) {
      console.error(`waiting: store: run ${run} has its files in store ${row.store}, this worker has ${id}`);
      return null;
    }
    this.runs.set(run, { config: JSON.parse(row.config), digest: row.config_digest, ackWait: queue.config.ack_wait / 1e6 });
    setTimeout(() => this.runs.delete(run), 60000).unref(); // a name can be given to another run
    return this.runs.get(run);
  }

  // open is the rows of a message; a body behind a claim is fetched.
  async open({ headers, data }, schema) {
    readable(schema, headers["itool-schema"]);
    let body = data;
    if (headers["itool-claim"]) {
      const size = Number(headers["itool-size"]);
      if (!(size <= 1 << 30)) throw new Reject(`header itool-size: ${headers["itool-size"]}`);
      const packed = await this.store.get(headers["itool-claim"]);
      try {
        body = decompress(packed, new Uint8Array(size));
      } catch (e) {
        throw new Reject(`claim: ${e.message}`);
      }
    }
    return decode(schema, headers["itool-schema"], body, headers["itool-sha256"], headers["itool-rows"]);
  }

  // hold tries until broker and store answer: that they are away is no failure of the item.
  async hold(act) {
    for (let pause = 250; ; pause = Math.min(2 * pause, 30000)) {
      try {
        return await act();
      } catch (e) {
        if (!(e instanceof Unavailable)) throw e;
        if (this.stopping) throw new Wait("the worker stops");
        console.error("waiting:", e.message);
        await Promise.race([sleep(pause), new Promise((done) => { this.wake = done; })]);
      }
    }
  }

  async serve(item) {
    const tell = (text) => this.broker.ask(item.reply, text);
    const { ackWait } = this.runs.get(item.run) ?? { ackWait: 60000 };
    const beat = setInterval(() => tell("+WPI").catch(() => {}), ackWait / 3);
    try {
      await this.answer(item);
      await this.hold(() => tell("+ACK"));
    } catch (e) {
      await this.failed(item, e, tell).catch((why) => console.error("the broker was not told:", why.message));
    } finally {
      clearInterval(beat);
    }
  }

  // answer publishes the result of an item. It does nothing about a message that is no item, or is answered.
  async answer(item) {
    const [run, record, round, key] = item.subject.split(".").slice(2);
    const manifest = await this.hold(() => this.broker.record(run, "manifest", round, this.stage.writes));
    if (manifest && !(await this.open(manifest, "manifest/v1")).some((r) => r.key === key)) return;
    if (await this.hold(() => this.broker.record(run, this.stage.writes, round, key))) return;
    const rows = await this.open(item, this.stage.reads), h = item.headers, d = this.runs.get(run);
    if (h["itool-run"] !== run || h["itool-round"] !== round || h["itool-key"] !== key) throw new Reject(`the header is of another item than ${record}.${round}.${key}`);
    if (h["itool-config"] !== d.digest) throw new Reject("the item was made under another configuration");
    const start = performance.now();
    const made = this.stage.process(rows, d.config[this.stage.name] ?? {});
    await this.publish(item, this.stage.writes, this.stage.schema, made, h, (performance.now() - start) / 1000);
  }

  async publish(item, record, schema, rows, from, seconds) {
    const [run, , round, key] = item.subject.split(".").slice(2), body = encode(schema, rows);
    const h = {
      "itool-run": run, "itool-round": round, "itool-key": key, "itool-schema": schema, "itool-rows": String(rows.length),
      "itool-sha256": sha256(body), "itool-worker": this.name, "itool-seconds": seconds.toFixed(3),
    };
    for (const name of ["itool-seed", "itool-policy", "itool-config", "traceparent"]) if (from[name]) h[name] = from[name];
    if (from["itool-sha256"]) h["itool-input"] = from["itool-sha256"];
    await this.hold(() => this.broker.publishOnce(run, `itool.run.${run}.${record}.${round}.${key}`, body, h));
    this.broker.nc.publish("itool.hint." + run);
  }

  async failed(item, e, tell) {
    const { run } = item;
    if (e instanceof Wait || e instanceof Unavailable) {
      if (!this.stopping) console.error("waiting:", e.message);
      await this.broker.handBack(run, this.stage.name, item.seq);
      const seconds = this.stopping ? 0 : Math.min(5 * 2 ** Math.min(item.deliveries - 1, 10), 120);
      return tell(`-NAK {"delay": ${seconds * 1e9}}`);
    }
    const handBacks = Number((await this.broker.key("itool_handbacks", `${run}.${this.stage.name}.${item.seq}`)).value);
    const attempts = Math.max(item.deliveries - handBacks, 1);
    console.error(`${item.subject}: attempt ${attempts}:`, e);
    if (!(e instanceof Reject) && attempts < 5) return tell(`-NAK {"delay": ${2 ** (attempts - 1) * 1e9}}`);
    const row = {
      stage: this.stage.name, subject: item.subject, attempts: Math.min(attempts, 5),
      reason: e instanceof Reject ? "rejected" : "attempts", error: e.message, worker: this.name,
    };
    await this.publish(item, "failed", "failed/v1", [row], {}, 0);
    return tell("+ACK");
  }
}
