"""Whole folders in a store: parts by the digest of their content, and a manifest that is written last.

    <prefix>/parts/<sha256>            a file's content, once for all checkpoints
    <prefix>/manifests/<digest>.json   names, digests and sizes of the files

The digest of the manifest's bytes names the checkpoint.
"""

import hashlib
import json
import os

from .store import Damaged, Missing, check_key

POLICIES = "checkpoints"  # the prefix of all policies
FORMAT = "itool-checkpoint/1"


def encode(parts):
    """The bytes of a manifest: these fields in this order, without white space, sorted by name."""
    rows = [{"name": p["name"], "sha256": p["sha256"], "size": p["size"]} for p in parts]
    rows.sort(key=lambda p: p["name"].encode())
    return json.dumps({"format": FORMAT, "parts": rows}, separators=(",", ":")).encode()


def load(store, prefix, digest):
    """The parts of a checkpoint, by name."""
    raw = store.get(f"{prefix}/manifests/{digest}.json")
    if hashlib.sha256(raw).hexdigest() != digest:
        raise Damaged(f"manifest {digest[:12]}: these are not its bytes")
    manifest = json.loads(raw)
    if manifest.get("format") != FORMAT or encode(manifest["parts"]) != raw:
        raise Damaged(f"manifest {digest[:12]}: not of {FORMAT} in its one form")
    for p in manifest["parts"]:
        check_key(p["name"])
    return {p["name"]: p for p in manifest["parts"]}


def read(store, prefix, part):
    data = store.get(f"{prefix}/parts/{part['sha256']}")
    if len(data) != part["size"] or hashlib.sha256(data).hexdigest() != part["sha256"]:
        raise Damaged(f"part {part['name']}: these are not its bytes")
    return data


def fetch(store, prefix, digest, folder):
    """Write a checkpoint into folder/<digest> and return that path. A second call finds it there."""
    target = os.path.join(folder, digest)
    if os.path.exists(os.path.join(target, ".complete")):
        return target
    for name, part in load(store, prefix, digest).items():
        path = os.path.join(target, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".part", "wb") as f:
            f.write(read(store, prefix, part))
        os.replace(path + ".part", path)
    open(os.path.join(target, ".complete"), "w").close()
    return target


def write(store, prefix, files, parent=()):
    """Store files, a dict of name → bytes, and the parts of parent that they do not replace; returns the digest."""
    parts = {p["name"]: p for p in parent}
    for name, data in files.items():
        check_key(name)
        digest = hashlib.sha256(data).hexdigest()
        store.put_if_absent(f"{prefix}/parts/{digest}", data)
        parts[name] = {"name": name, "sha256": digest, "size": len(data)}
    raw = encode(parts.values())
    digest = hashlib.sha256(raw).hexdigest()
    store.put_if_absent(f"{prefix}/manifests/{digest}.json", raw)
    return digest


def save_step(store, folder, step, files, failures):
    """Store the state of a long item; the pointer, whose name is the step, comes last. Two are kept."""
    digest = write(store, folder, files)
    store.put(f"{folder}/steps/{step:09d}", f"{digest} {failures}".encode())
    sweep(store, folder, 2)


def resume(store, folder):
    """The files of the newest state whose parts are all sound, or None."""
    for key in reversed(store.list(folder + "/steps/")):
        try:
            digest = store.get(key).decode().split()[0]
            return {name: read(store, folder, part) for name, part in load(store, folder, digest).items()}
        except (Missing, Damaged, ValueError, IndexError):
            continue
    return None


def sweep(store, folder, keep):
    """Remove what only older states need; pointers first, so that none is left without its state."""
    steps = store.list(folder + "/steps/")
    needed = set()
    for key in steps[len(steps) - keep:] if keep else []:
        digest = store.get(key).decode().split()[0]
        needed |= {key, f"{folder}/manifests/{digest}.json"}
        needed |= {f"{folder}/parts/{p['sha256']}" for p in load(store, folder, digest).values()}
    for what in ("/steps/", "/manifests/", "/parts/"):
        for key in store.list(folder + what):
            if key not in needed:
                store.delete(key)
