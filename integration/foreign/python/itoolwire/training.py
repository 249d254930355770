"""The stages warmup and update with PyTorch and PEFT: one policy row per round.

They differ from ours where this page says so: the guard of update, best: accuracy and the plateau of warmup
need the judge, which this program does not have. The row's detail names what was left out.
"""

import json
import math
import time

import torch

from . import checkpoint
from .records import Reject
from .train import NotFinite, Phase, Policy, Trainer, derive, preference, rate
from .worker import Stage, policy_folder

COMMON = {"rate": 0.0, "batch_size": 0, "epochs": 2, "rank": 16, "alpha": 32.0, "warmup_ratio": 0.1, "decay": 0.0,
          "clip": 1.0, "tokens": 2048, "checkpoint_steps": 50, "accuracy_rows": 64, "validate_steps": 0}
WARMUP = COMMON | {"mode": "curriculum", "batch_size": 64, "targets": [], "best": "loss", "validation_rows": 256,
                   "plateau": 0}
UPDATE = COMMON | {"loss": "simpo", "beta": 0.0, "gamma": 0.5, "sft_weight": 0.2, "force": False, "batch_size": 16,
                   "min_pairs": 50, "min_steps": 10, "best": "last", "guard_prompts": 256, "guard_tokens": 256,
                   "guard_drop": 5.0, "guard_p": 0.05}
LEVELS = ("easy", "medium", "hard")
SAVE_SECONDS = 600  # a long training leaves a checkpoint at least so often


def settings(section, defaults, stage):
    if unknown := set(section) - set(defaults):
        raise Reject(f"configuration: {stage}.{sorted(unknown)[0]} is not known")
    return defaults | section


class Training(Stage):
    """What both stages share: a policy, a trainer, checkpoints, the row."""

    writes, schema, gather, work = "policy", "policy/v1", True, "itoolwire/1 " + torch.__version__

    def __init__(self, cache, device="cpu", recompute=False):
        self.cache, self.device, self.recompute = cache, device, recompute

    def open(self, item, c, purpose):
        seed = derive(item.seed, purpose)
        return seed, Policy(policy_folder(item, self.cache), self.device, seed, c["rank"], c["alpha"],
                            c.get("targets") or (), self.recompute)

    def run(self, item, t, c, after=lambda point: None):
        """Train to the end, from a checkpoint if there is one."""
        fingerprint = json.dumps({"items": item.headers["itool-sha256"], "policy": item.policy, "settings": c,
                                  "work": self.work}, sort_keys=True)
        files = checkpoint.resume(item.store, item.folder)
        if not (files and t.restore(files, fingerprint)):
            after(None)
        saved, every = time.monotonic(), c["checkpoint_steps"]
        while not t.finished():
            item.check()
            try:
                point = t.one(item.check)
            except NotFinite as e:
                raise Reject(f"{self.name}: {e}") from None
            after(point)
            item.progress(t.done, t.total, "steps", f"loss {point['loss']:.4f}")
            if not t.finished() and (every and t.done % every == 0 or time.monotonic() - saved > SAVE_SECONDS):
                checkpoint.save_step(item.store, item.folder, t.done, t.save(fingerprint), item.failures)
                saved = time.monotonic()

    def finish(self, item, t, row, values, remarks):
        """Store the policy: the files of the old one with the new adapter."""
        parent = checkpoint.load(item.store, checkpoint.POLICIES, item.policy).values()
        files = t.policy.files(values)
        row["checkpoint"] = checkpoint.write(item.store, checkpoint.POLICIES, files, parent)
        row["status"], row["steps"], row["curve"] = "trained", t.done, json.dumps(t.curve)
        row["detail"] = "; ".join([row["detail"], "trained with PyTorch and PEFT", *remarks])
        checkpoint.sweep(item.store, item.folder, 0)


class Warmup(Training):
    name, wakes, reads = "warmup", "example", "example/v1"

    def process(self, item):
        c = settings(item.config, WARMUP, self.name)
        train, validation = examples(item)
        row = {"checkpoint": item.policy, "parent": item.policy, "base": item.policy, "status": "base",
               "detail": "warm-up is switched off by warmup.mode", "steps": 0, "examples": 0, "metrics": "{}",
               "curve": "[]"}
        if not train:
            raise Reject("warmup: no example is for training")
        if c["mode"] == "none":
            return [row]
        seed, policy = self.open(item, c, "warmup")
        peak = c["rate"] or rate(policy.size(), 1e-3, 1e-4)
        phases = [Phase(name, units, c["epochs"], peak, c["batch_size"]) for name, units in curriculum(c, train)]
        t = Trainer(policy, phases, seed, c["decay"], c["clip"], c["warmup_ratio"])
        kept = spread(validation, c["validation_rows"])
        t.notes = {"best_step": 0}

        def after(point):
            if kept and (point is None or self.due(t, c)):
                loss = validate(item, policy, kept)
                n = t.notes
                n.setdefault("before", loss)
                n["after"] = loss
                if point:
                    point["validation"] = loss
                if t.best is None or loss < n["best"]:
                    n["best"], n["best_step"] = loss, t.done
                    t.mark_best()
        self.run(item, t, c, after)
        row["examples"] = len(train)
        n = t.notes
        metrics = {"rate": peak, "loss_first": t.curve[0]["loss"], "loss_last": t.curve[-1]["loss"]}
        metrics |= {"examples_" + p.name: len(p.units) for p in phases}
        row["detail"] = f"{len(train)} examples"
        if kept:
            metrics |= {"validation_examples": len(kept), "validation_before": n["before"],
                        "validation_best": n["best"], "validation_after": n["after"], "best_step": n["best_step"]}
            row["detail"] += f", the weights after step {n['best_step']} of {t.done}"
        remarks = ["warmup.best: accuracy and warmup.plateau are not measured by this program"] * bool(
            c["best"] != "loss" or c["plateau"])
        row["metrics"] = json.dumps(metrics)
        self.finish(item, t, row, t.best, remarks)
        return [row]

    def due(self, t, c):
        """Whether the step that was just taken ends an interval of validation."""
        p = t.phases[t.phase - (t.step == 0)]
        return t.step == 0 or t.step % (c["validate_steps"] or p.per_epoch) == 0


def examples(item):
    """The examples to train on and those for validation, in the order of the gather."""
    train, validation = [], []
    keys = [r["key"] for r in item.rows if not r["failed"]]
    for rows, _ in item.batches("example", 0, keys, "example/v1"):
        for e in rows:
            if e["part"] == "train" and e["difficulty"] not in LEVELS:
                raise Reject(f"warmup: example {e['id']}: difficulty {e['difficulty']!r} is none of easy, medium, hard")
            if e["part"] in ("train", "validation"):
                if not e["answer_ids"] or not e["prompt_ids"]:
                    raise Reject(f"warmup: example {e['id']} has no prompt or no answer")
                unit = {"id": e["id"], "difficulty": e["difficulty"],
                        "rank": (e["candidates"], e["tool_chars"], e["calls"], e["id"]),
                        "ids": (e["prompt_ids"], e["answer_ids"])}
                (train if e["part"] == "train" else validation).append(unit)
    return train, [v["ids"] for v in validation]


def curriculum(c, train):
    """The phases, in their order: easy, medium, hard, or all at once."""
    if c["mode"] == "shuffled":
        return [("all", [e["ids"] for e in train])]
    if c["mode"] == "tertile":
        train = sorted(train, key=lambda e: e["rank"])
        for i, e in enumerate(train):
            e["difficulty"] = LEVELS[i * 3 // len(train)]
    elif c["mode"] != "curriculum":
        raise Reject(f"warmup.mode: {c['mode']!r} is none of curriculum, tertile, shuffled, none")
    return [(level, [e["ids"] for e in train if e["difficulty"] == level]) for level in LEVELS]


def spread(all_, n):
    """n of them, evenly."""
    return all_ if n >= len(all_) else [all_[i * len(all_) // n] for i in range(n)]


def validate(item, policy, units):
    """The mean negative log-likelihood per answer token, in nats."""
    total = 0.0
    for prompt, answer in units:
        item.check()
        total += policy.score(prompt, answer)
    return -total / sum(len(a) for _, a in units)


class Update(Training):
    name, wakes, reads, next_round = "update", "pair", "pair/v2", True

    def process(self, item):
        c = settings(item.config, UPDATE, self.name)
        if c["loss"] == "simpo" and 0 < c["beta"] < 1 and not c["force"]:
            raise Reject(f"update.beta: {c['beta']} with simpo collapses the policy: use 2 to 2.5, or update.force")
        pairs, metrics, remarks = collect(item)
        [old], _ = item.wait(item.worker.read(item.run, "policy", item.round, "policy", "policy/v1"))
        steps = c["epochs"] * math.ceil(len(pairs) / c["batch_size"])
        row = {"checkpoint": item.policy, "parent": item.policy, "base": old["base"], "status": "no update",
               "detail": "", "steps": 0, "examples": 0, "metrics": json.dumps(metrics), "curve": "[]"}
        if len(pairs) < c["min_pairs"] or steps < c["min_steps"]:
            row["detail"] = (f"{len(pairs)} distinct pairs make {steps} steps; update.min_pairs is {c['min_pairs']}, "
                             f"update.min_steps {c['min_steps']}")
            return [row]
        seed, policy = self.open(item, c, "update")
        before = scores(item, policy, pairs)
        peak = c["rate"] or rate(policy.size(), 1e-4, 5e-6)
        t = Trainer(policy, [self.phase(item, c, pairs, before, peak)], seed, c["decay"], c["clip"],
                    c["warmup_ratio"])
        self.run(item, t, c)
        after = scores(item, policy, pairs)
        if after == before:
            raise Reject("update: training changed no probability of any pair: the rate is too low to count")
        metrics |= {"rate": peak, "attempts": 1} | measure(pairs, before, after)
        row["metrics"], row["examples"], row["detail"] = json.dumps(metrics), len(pairs), \
            f"{c['loss']} on {len(pairs)} pairs"
        if c["guard_prompts"]:
            remarks.append("without the guard, which this program does not have")
        if c["best"] != "last":
            remarks.append("update.best: accuracy is not measured by this program")
        self.finish(item, t, row, None, remarks)
        return [row]

    def phase(self, item, c, pairs, before, peak):
        loss = c["loss"]
        if loss in ("chosen_only", "sft"):
            units = [(p["prompt"], p["chosen"]) for p in pairs]
            if loss == "sft":
                units = references(item, pairs)
            return Phase(loss, units, c["epochs"], peak, c["batch_size"])
        if loss not in ("simpo", "dpo", "ipo", "orpo"):
            raise Reject(f"update.loss: {loss!r} is none of simpo, dpo, ipo, orpo, chosen_only, sft")
        beta = c["beta"] or (2.5 if loss == "simpo" else 0.1)
        units = [(p["prompt"], p["chosen"], p["rejected"], *ref) for p, ref in zip(pairs, before)]
        return Phase(loss, units, c["epochs"], peak, c["batch_size"],
                     preference(loss, beta, c["gamma"], c["sft_weight"]))


def collect(item):
    """The pairs to train on, each once, in key order, and how many there were."""
    out, seen, n = [], set(), {"pairs": 0, "pairs_kept": 0, "pairs_foreign": 0}
    keys = [r["key"] for r in item.rows if not r["failed"]]
    for rows, headers in item.batches("pair", item.round, keys, "pair/v2"):
        for p in rows:
            n["pairs"] += 1
            if p["reason"]:
                continue
            n["pairs_kept"] += 1
            if headers.get("itool-policy") != item.policy:
                n["pairs_foreign"] += 1
                continue
            ids = [p[side] for side in ("prompt_ids", "chosen_ids", "rejected_ids")]
            if not all(ids):
                raise Reject(f"update: pair {p['example_id']} node {p['node']}: a side has no tokens")
            if (key := tuple(map(tuple, ids))) not in seen:
                seen.add(key)
                out.append({"example": p["example_id"], "prompt": ids[0], "chosen": ids[1], "rejected": ids[2]})
    remarks = [f"{n['pairs_foreign']} pairs were searched with another policy and left out"] * bool(n["pairs_foreign"])
    return out, n | {"pairs_distinct": len(out)}, remarks


def references(item, pairs):
    """The reference answers of the pairs' examples, one for every pair."""
    found = {}
    wanted = {p["example"] for p in pairs}
    for rows, _ in item.batches("example", 0, item.keys("example", 0), "example/v1"):
        found |= {e["id"]: (e["prompt_ids"], e["answer_ids"]) for e in rows if e["id"] in wanted}
    if missing := wanted - set(found):
        raise Reject(f"update: example {sorted(missing)[0]} of a pair is not among the run's examples")
    return [found[p["example"]] for p in pairs]


def scores(item, policy, pairs):
    """The summed log-probabilities of both sides of every pair, in nats."""
    out = []
    for p in pairs:
        item.check()
        out.append((policy.score(p["prompt"], p["chosen"]), policy.score(p["prompt"], p["rejected"])))
    if not all(math.isfinite(x) for s in out for x in s):
        raise Reject("update: a log-probability is not finite; the policy's weights are broken")
    return out


def measure(pairs, before, after):
    """How training changed the pairs' log-probabilities: means per token; changes are of whole sides."""
    m, n = {}, len(pairs)

    def add(key, value):
        m[key] = m.get(key, 0.0) + value / n
    for p, b, a in zip(pairs, before, after):
        nw, nl = len(p["chosen"]), len(p["rejected"])
        for when, (w, l) in (("before", b), ("after", a)):
            add("chosen_logp_" + when, w / nw)
            add("rejected_logp_" + when, l / nl)
            add("margin_" + when, w / nw - l / nl)
            add("accuracy_" + when, w / nw > l / nl)
        add("chosen_change", abs(a[0] - b[0]))
        add("rejected_change", abs(a[1] - b[1]))
        add("chosen_tokens", nw)
        add("rejected_tokens", nl)
    return m
