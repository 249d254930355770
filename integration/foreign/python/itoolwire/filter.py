"""The stage filter: a search tree becomes preference pairs. stages/filter is what it follows, rule by rule.

Its rows are those of the original, in pair/v1: the columns kind and proven, which only the report reads,
are not in that version. In the mode fragment the reference decides between two fragments; that needs the
judge, which this program does not have, so it leaves such runs to other workers.
"""

import math

from . import toolcall
from .records import Newer, Reject
from .worker import Stage

MAX_IDS = 32 << 20  # token ids of the kept pairs of a tree
MAX_SIDE = 4096     # tokens of a fragment: the edit distance costs the product of both lengths
DEFAULTS = {"similarity": 0.95, "min_q_difference": 0.1, "min_chosen_q": 0.3, "mode": "proven", "unfinished": False,
            "max_tokens": 0}
CLOSINGS = {toolcall.PYTHONIC: ("", "]", ")]"),
            toolcall.HERMES: ("", "</tool_call>", "}</tool_call>", "}}</tool_call>"),
            toolcall.LLAMA_JSON: ("", "}", "}}")}
READERS = {toolcall.PYTHONIC: toolcall.parse, toolcall.HERMES: toolcall.read_hermes,
           toolcall.LLAMA_JSON: toolcall.read_llama}


class Filter(Stage):
    name, wakes, reads, writes, schema = "filter", "candidate", "candidate/v2", "pair", "pair/v1"

    def process(self, item):
        return pairs(Tree(item.rows), settings(item.config), item.check)


def settings(section):
    """The stage's section over the defaults. A run's settings are frozen, so a bad one is a reject."""
    if unknown := set(section) - set(DEFAULTS):
        raise Reject(f"configuration: filter.{sorted(unknown)[0]} is not known")
    c = DEFAULTS | section
    if not 0 <= c["similarity"] <= 1:
        raise Reject(f"filter.similarity: {c['similarity']} is not within 0..1")
    if not c["min_q_difference"] >= 0 or c["max_tokens"] < 0:
        raise Reject("filter.min_q_difference and filter.max_tokens are 0 or more")
    if c["mode"] not in ("proven", "paper", "fragment"):
        raise Reject(f"filter.mode: {c['mode']!r} is none of proven, paper, fragment")
    if c["mode"] == "fragment":
        raise Newer("filter.mode: fragment needs itool's own filter")
    return c


class Tree:
    """The rows of a tree, parents before their children, and what passes at or below each node."""

    def __init__(self, rows):
        self.rows = rows
        self.children = [[] for _ in rows]
        self.finished, self.passing = [0] * len(rows), [0] * len(rows)
        for i, r in enumerate(rows):
            if r["node"] != i:
                raise Reject(f"candidate tree: row {i}: node {r['node']}: rows must be numbered in order")
            if not (r["parent"] == -1 if i == 0 else 0 <= r["parent"] < i):
                raise Reject(f"candidate tree: row {i}: parent {r['parent']}: parents come before their children")
            if r["example_id"] != rows[0]["example_id"]:
                raise Reject(f"candidate tree: row {i}: example {r['example_id']!r}")
            if not math.isfinite(r["q"]):
                raise Reject(f"candidate tree: row {i}: q: {r['q']} is not a finite number")
            if i:
                self.children[r["parent"]].append(i)
        for i in reversed(range(len(rows))):
            r = rows[i]
            self.finished[i] += r["terminal"]
            self.passing[i] += r["terminal"] and r["pass"]
            if i:
                self.finished[r["parent"]] += self.finished[i]
                self.passing[r["parent"]] += self.passing[i]

    def sides(self, node, unfinished):
        """The children that a pair can have: below them an answer has come to its end."""
        return [c for c in self.children[node] if self.finished[c] or unfinished]

    def ends(self, sides):
        """The best and the worst by Q; of equal ones the earlier."""
        best = max(sides, key=lambda c: (self.rows[c]["q"], -c))
        worst = min((c for c in sides if c != best), key=lambda c: (self.rows[c]["q"], c))
        return best, worst

    def path(self, node):
        """The tokens of the prompt and of the answer up to a node, and the answer's text."""
        nodes = []
        while node > 0:
            nodes.append(node)
            node = self.rows[node]["parent"]
        tokens, text = list(self.rows[0]["tokens"]), ""
        for n in reversed(nodes):
            tokens += self.rows[n]["tokens"]
            text += self.rows[n]["text"]
        return tokens, text


def pairs(tree, config, check=lambda: None):
    """One row for every branching node, in node order. Only kept rows have token ids."""
    out, in_force, in_other, ids = [], set(), set(), 0
    for node in range(len(tree.rows)):
        check()
        sides = tree.sides(node, config["unfinished"])
        if len(sides) < 2:
            continue
        p = pair(tree, node, sides, config)
        key = tuple(tuple(p[side]) for side in ("prompt_ids", "chosen_ids", "rejected_ids"))
        p["reason"], p["other_mode"] = first(in_force, key, p["reason"]), first(in_other, key, p["other_mode"])
        if p["reason"]:
            p["prompt_ids"], p["chosen_ids"], p["rejected_ids"] = [], [], []
        ids += len(p["prompt_ids"]) + len(p["chosen_ids"]) + len(p["rejected_ids"])
        if ids > MAX_IDS:
            raise Reject(f"candidate tree: its pairs hold more than {MAX_IDS} token ids")
        out.append(p)
    return out


def first(seen, key, reason):
    """The reason of a pair: duplicate if the mode has kept the same pair before."""
    if not reason and key in seen:
        return "duplicate"
    if not reason:
        seen.add(key)
    return reason


def pair(tree, node, sides, config):
    prompt, text = tree.path(node)
    best, worst = tree.ends(sides)
    chosen, rejected = tree.rows[best], tree.rows[worst]
    reason, similar = judge(config, text, len(prompt), chosen, rejected)
    other = reason
    if not reason:
        modes = config["mode"], "paper" if config["mode"] == "proven" else "proven"
        reason, other = (accept(config, m, chosen, rejected, tree.passing[best], tree.passing[worst]) for m in modes)
    a, b = chosen["tokens"], rejected["tokens"]
    shared = common_prefix(a, b)  # it belongs to the prompt: in a loss it would add weight without a difference
    return {
        "example_id": tree.rows[0]["example_id"], "node": node, "prompt_ids": prompt + a[:shared],
        "chosen_ids": a[shared:], "rejected_ids": b[shared:], "chosen_text": chosen["text"],
        "rejected_text": rejected["text"], "chosen_q": chosen["q"], "rejected_q": rejected["q"],
        "similarity": similar, "reason": reason, "other_mode": other,
    }


def judge(config, path, prompt_tokens, chosen, rejected):
    """The rules that all modes share, in their order, and the similarity of the whole fragments."""
    a, b = chosen["tokens"], rejected["tokens"]
    shared, longer = common_prefix(a, b), max(len(a), len(b))
    if longer > MAX_SIDE:
        return "over_length", 0.0
    similar = similarity(a, b)
    if shared in (len(a), len(b)):
        return "empty_side", similar
    if config["max_tokens"] and prompt_tokens + longer > config["max_tokens"]:
        return "over_length", similar
    if similar > config["similarity"]:
        return "similar", similar
    if chosen["terminal"] == rejected["terminal"] and same_calls(path + chosen["text"], path + rejected["text"]):
        return "equal_after_parsing", similar
    return "", similar


def accept(config, mode, chosen, rejected, passing, rejected_passing):
    """One acceptance mode; passing counts the answers that pass at or below each side."""
    if chosen["q"] - rejected["q"] < config["min_q_difference"] or chosen["q"] == rejected["q"]:
        return "small_q_difference"
    if mode == "paper":
        return "chosen_low_q" if chosen["q"] < config["min_chosen_q"] else ""
    if passing > 0 and rejected_passing == 0:
        return ""
    return "rejected_viable" if rejected_passing > 0 else "chosen_unproven"


def common_prefix(a, b):
    n = 0
    for x, y in zip(a, b):
        if x != y:
            break
        n += 1
    return n


def similarity(a, b):
    """1 − edit distance ÷ longer length."""
    longer = max(len(a), len(b))
    return 1 - distance(a, b) / longer if longer else 1.0


def distance(a, b):
    """Levenshtein's edit distance, in one row of memory; what both begin and end with does not change it."""
    n = common_prefix(a, b)
    a, b = a[n:], b[n:]
    n = common_prefix(a[::-1], b[::-1])
    a, b = a[:len(a) - n], b[:len(b) - n]
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        diagonal, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            diagonal, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, diagonal + (x != y))
    return row[-1]


def same_calls(a, b):
    """Whether two answers up to the ends of the fragments are equal, as text or as calls with one closing."""
    if a == b:
        return True
    f = toolcall.format_of(a)
    if toolcall.format_of(b) != f:
        return False
    a, b = a.rstrip(" \n"), b.rstrip(" \n")
    if f != toolcall.PYTHONIC and a.endswith(",") and b.endswith(","):
        a, b = a[:-1], b[:-1]  # JSON has no comma before a brace
    for end in CLOSINGS[f]:
        try:
            x, y = READERS[f](a + end), READERS[f](b + end)
        except toolcall.SyntaxFault:
            continue
        return toolcall.equal(x, y)
    return False
