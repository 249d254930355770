"""Starts a run with two plain operations: files into the store, one record into the broker.

Any client can do this; ops/guide/wire.md has every byte of it. What `itool publish` checks before it
starts a run (the base opens, the rows read) is found here by the run itself.
"""

import hashlib
import json
import os
import time

import zstandard

from . import checkpoint, header, records, store as stores
from .broker import Broker

SHARD_ROWS = 2000  # rows of a task of split
BATCH_ROWS = 32    # examples of a task of score and evaluate, line.batch_rows: `itool publish` chooses by model size

# The files of a base besides its weights; none but config.json, tokenizer.json and a chat template must be there.
BASE_FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
              "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja",
              "adapter_config.json", "adapter_model.safetensors", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE",
              "NOTICE.txt")


async def publish(broker, store, name, files, base, config, seed=1, row_format="openai"):
    """Start a run of JSON-lines files and a base model in a folder; config holds sections of settings.

    False: a run of this name was started before."""
    if not header.NAME.match(name):
        raise ValueError(f"run name {name!r}: 1 to 128 letters, digits, _ and -")
    identity = store.get(stores.IDENTITY).decode()
    shards = [s for index, file in enumerate(files) for s in store_file(store, index, file, row_format, config)]
    text = json.dumps({"line": {"batch_rows": BATCH_ROWS}} | config, separators=(",", ":"))
    row = {
        "name": name, "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "seed": seed, "config": text,
        "config_digest": sha256(text.encode()), "base": store_base(store, base),
        "dataset": json.dumps(shards, separators=(",", ":")), "store": identity,
    }
    body = records.encode("run/v2", [row])
    headers = {
        "itool-run": name, "itool-round": "0", "itool-key": "run", "itool-seed": str(seed),
        "itool-policy": row["base"], "itool-config": row["config_digest"], "itool-schema": "run/v2",
        "itool-rows": "1", "itool-sha256": sha256(body),
    }
    if trace := os.environ.get("TRACEPARENT"):  # all items of the run will be in this trace
        headers["traceparent"] = trace
    stored = await broker.publish_once("RUNS", "itool.start." + name, body, headers)
    await broker.hint(name)
    return stored is not None


def store_file(store, index, path, row_format, config):
    """Store the rows of a JSON-lines file, cut into shards, and describe these."""
    with open(path, "rb") as f:
        content = f.read()
    digest, rows = sha256(content), []
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            rows.append((number, line.strip(b" \t\r")))
    size = config.get("line", {}).get("shard_rows", SHARD_ROWS)
    for n, first in enumerate(range(0, len(rows), size)):
        part = rows[first:first + size]
        text = b"".join(b"%d %d\n%s\n" % (line, len(raw), raw) for line, raw in part)
        head = f"itool rows 1 {digest} {first} {len(part)}\n".encode()
        key = f"shards/1/{digest}/{first}-{len(part)}"
        store.put_if_absent(key, zstandard.ZstdCompressor().compress(head + text))
        yield {"Key": f"s{index:02d}{n:05d}", "File": key, "SHA256": digest, "Name": os.path.basename(path),
               "Format": row_format, "First": first, "Rows": len(part)}


def store_base(store, folder):
    """Store a base model in Hugging Face format as a checkpoint."""
    names = [n for n in BASE_FILES if os.path.exists(os.path.join(folder, n))]
    index = os.path.join(folder, "model.safetensors.index.json")
    if os.path.exists(index):
        with open(index) as f:
            names += ["model.safetensors.index.json", *sorted(set(json.load(f)["weight_map"].values()))]
    else:
        names.append("model.safetensors")
    files = {}
    for n in names:
        with open(os.path.join(folder, n), "rb") as f:
            files[n] = f.read()
    return checkpoint.write(store, checkpoint.POLICIES, files)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def settings(pairs):
    """Sections of settings from texts such as line.rounds=1."""
    config = {}
    for text in pairs:
        path, _, value = text.partition("=")
        section, _, key = path.partition(".")
        try:
            value = json.loads(value)
        except ValueError:
            pass  # a plain word
        config.setdefault(section, {})[key] = value
    return config


async def main(args, login):
    broker = await Broker.connect(args.broker, name="itoolwire publish", **login)
    try:
        started = await publish(broker, stores.open_store(args.store), args.name, args.files, args.base,
                                settings(args.set), args.seed, args.format)
    finally:
        await broker.nc.close()
    print(f"published run {args.name}" if started else f"a run named {args.name} was started before")
