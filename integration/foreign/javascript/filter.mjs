// The stage filter: a search tree becomes preference pairs. stages/filter is what it follows, rule by rule, and
// integration/foreign/python has the same in Python. It writes pair/v1; the mode fragment is left to others.
//
//	node filter.mjs nats://TOKEN@HOST:PORT disk:PATH

import { pathToFileURL } from "node:url";
import { READERS, SyntaxFault, HERMES, LLAMA_JSON, PYTHONIC, equal, formatOf } from "./toolcall.mjs";
import { Broker, Disk, Reject, Wait, Worker } from "./wire.mjs";

const MAX_IDS = 32 << 20, MAX_SIDE = 4096;
const DEFAULTS = {
  similarity: 0.95, min_q_difference: 0.1, min_chosen_q: 0.3, mode: "proven", unfinished: false, max_tokens: 0,
};
const CLOSINGS = {
  [PYTHONIC]: ["", "]", ")]"], [HERMES]: ["", "</tool_call>", "}</tool_call>", "}}</tool_call>"], [LLAMA_JSON]: ["", "}", "}}"],
};

export const filter = {
  name: "filter", wakes: "candidate", reads: "candidate/v2", writes: "pair", schema: "pair/v1",
  process: (rows, section) => pairs(new Tree(rows), settings(section)),
};

function settings(section) {
  const unknown = Object.keys(section).find((k) => !(k in DEFAULTS));
  if (unknown) throw new Reject(`configuration: filter.${unknown} is not known`);
  const c = { ...DEFAULTS, ...section };
  if (c.mode === "fragment") throw new Wait("filter.mode: fragment needs itool's own filter");
  if (!["proven", "paper"].includes(c.mode)) throw new Reject(`filter.mode: ${c.mode} is none of proven, paper, fragment`);
  return c;
}

// Tree is the rows of a tree, parents before their children, and what passes at or below each node.
class Tree {
  constructor(rows) {
    this.rows = rows;
    this.children = rows.map(() => []);
    this.finished = rows.map(() => 0);
    this.passing = rows.map(() => 0);
    rows.forEach((r, i) => {
      const fine = r.node === i && (i === 0 ? r.parent === -1 : r.parent >= 0 && r.parent < i)
        && r.example_id === rows[0].example_id && Number.isFinite(r.q);
      if (!fine) throw new Reject(`candidate tree: row ${i}: node ${r.node}, parent ${r.parent}, q ${r.q}: no row of a tree`);
      if (i > 0) this.children[r.parent].push(i);
    });
    for (let i = rows.length - 1; i >= 0; i--) {
      const r = rows[i];
      this.finished[i] += r.terminal;
      this.passing[i] += r.terminal && r.pass;
      if (i > 0) {
        this.finished[r.parent] += this.finished[i];
        this.passing[r.parent] += this.passing[i];
      }
    }
  }

  sides(node, unfinished) { return this.children[node].filter((c) => unfinished || this.finished[c] > 0); }

  // ends are the best and the worst by Q; of equal ones the earlier.
  ends(sides) {
    const best = sides.reduce((b, c) => (this.rows[c].q > this.rows[b].q ? c : b));
    const worst = sides.filter((c) => c !== best).reduce((w, c) => (this.rows[c].q < this.rows[w].q ? c : w));
    return [best, worst];
  }

  path(node) {
    const nodes = [];
    for (let n = node; n > 0; n = this.rows[n].parent) nodes.unshift(n);
    return [[0, ...nodes].flatMap((n) => this.rows[n].tokens), nodes.map((n) => this.rows[n].text).join("")];
  }
}

// pairs is one row for every branching node, in node order. Only kept rows have token ids.
export function pairs(tree, config) {
  const out = [], inForce = new Set(), inOther = new Set();
  let ids = 0;
  for (let node = 0; node < tree.rows.length; node++) {
    const sides = tree.sides(node, config.unfinished);
    if (sides.length < 2) continue;
    const p = pair(tree, node, sides, config);
    const key = JSON.stringify([p.prompt_ids, p.chosen_ids, p.rejected_ids]);
    p.reason = first(inForce, key, p.reason);
    p.other_mode = first(inOther, key, p.other_mode);
    if (p.reason !== "") p.prompt_ids = p.chosen_ids = p.rejected_ids = [];
    ids += p.prompt_ids.length + p.chosen_ids.length + p.rejected_ids.length;
    if (ids > MAX_IDS) throw new Reject(`candidate tree: its pairs hold more than ${MAX_IDS} token ids`);
    out.push(p);
  }
  return out;
}

function first(seen, key, reason) {
  if (reason === "" && seen.has(key)) return "duplicate";
  if (reason === "") seen.add(key);
  return reason;
}

function pair(tree, node, sides, config) {
  const [prompt, text] = tree.path(node), [best, worst] = tree.ends(sides);
  const chosen = tree.rows[best], rejected = tree.rows[worst];
  let [reason, similarity] = judge(config, text, prompt.length, chosen, rejected), other = reason;
  if (reason === "") {
    const accept = (mode) => accepts(config, mode, chosen, rejected, tree.passing[best], tree.passing[worst]);
    [reason, other] = [accept(config.mode), accept(config.mode === "proven" ? "paper" : "proven")];
  }
  const shared = commonPrefix(chosen.tokens, rejected.tokens); // it belongs to the prompt
  return {
    example_id: tree.rows[0].example_id, node, prompt_ids: [...prompt, ...chosen.tokens.slice(0, shared)],
    chosen_ids: chosen.tokens.slice(shared), rejected_ids: rejected.tokens.slice(shared), chosen_text: chosen.text,
    rejected_text: rejected.text, chosen_q: chosen.q, rejected_q: rejected.q, similarity, reason, other_mode: other,
  };
}

// judge applies the rules that all modes share, in their order.
function judge(config, path, promptTokens, chosen, rejected) {
  const a = chosen.tokens, b = rejected.tokens, shared = commonPrefix(a, b), longer = Math.max(a.length, b.length);
  if (longer > MAX_SIDE) return ["over_length", 0];
  const similar = longer > 0 ? 1 - distance(a, b) / longer : 1;
  if (shared === a.length || shared === b.length) return ["empty_side", similar];
  if (config.max_tokens > 0 && promptTokens + longer > config.max_tokens) return ["over_length", similar];
  if (similar > config.similarity) return ["similar", similar];
  if (chosen.terminal === rejected.terminal && sameCalls(path + chosen.text, path + rejected.text)) {
    return ["equal_after_parsing", similar];
  }
  return ["", similar];
}

function accepts(config, mode, chosen, rejected, passing, rejectedPassing) {
  if (chosen.q - rejected.q < config.min_q_difference || chosen.q === rejected.q) return "small_q_difference";
  if (mode === "paper") return chosen.q < config.min_chosen_q ? "chosen_low_q" : "";
  if (passing > 0 && rejectedPassing === 0) return "";
  return rejectedPassing > 0 ? "rejected_viable" : "chosen_unproven";
}

function commonPrefix(a, b) {
  let n = 0;
  while (n < Math.min(a.length, b.length) && a[n] === b[n]) n++;
  return n;
}

// distance is Levenshtein's edit distance, in one row of memory.
function distance(a, b) {
  const row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    let diagonal = row[0];
    row[0] = i + 1;
    for (let j = 0; j < b.length; j++) {
      const next = Math.min(row[j + 1] + 1, row[j] + 1, diagonal + (a[i] === b[j] ? 0 : 1));
      diagonal = row[j + 1];
      row[j + 1] = next;
    }
  }
  return row[b.length];
}

// sameCalls reports whether two answers up to the fragments' ends are equal, as text or as calls with one closing.
function sameCalls(a, b) {
  if (a === b) return true;
  const f = formatOf(a);
  if (formatOf(b) !== f) return false;
  [a, b] = [a.replace(/[ \n]+$/, ""), b.replace(/[ \n]+$/, "")];
  if (f !== PYTHONIC && a.endsWith(",") && b.endsWith(",")) [a, b] = [a.slice(0, -1), b.slice(0, -1)];
  for (const end of CLOSINGS[f]) {
    try {
      return equal(READERS[f](a + end), READERS[f](b + end));
    } catch (e) {
      if (!(e instanceof SyntaxFault)) throw e;
    }
  }
  return false;
}

async function main() {
  const [address = process.env.ITOOL_BROKER, store = process.env.ITOOL_STORE] = process.argv.slice(2);
  const broker = await Broker.connect(address);
  const worker = new Worker(broker, new Disk(store), filter, "javascript-filter/1");
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => worker.stop());
  await worker.run();
  await broker.nc.close();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
