// The grammar of an answer, as far as the filter needs it: schemas/toolcall is what it follows.
//
// A call is ["call", name, arguments sorted by name]. A value is an array that begins with its kind, so that
// two of them mean the same if their JSON is equal: ["int", "1"] is not ["float", "1"].

export const PYTHONIC = "pythonic", HERMES = "hermes", LLAMA_JSON = "llama_json";
const OPEN_CALL = "<tool_call>", CLOSE_CALL = "</tool_call>", PYTHON_TAG = "<|python_tag|>";
const MAX_BYTES = 1 << 20, MAX_DEPTH = 200, MAX_DIGITS = 4300, MAX_NAME = 512;
const NONE = ["none"];

export class SyntaxFault extends Error {}

const isControl = (r) => /\p{Cc}/u.test(r);
const isStart = (r) => /[_\p{L}\p{Nl}]/u.test(r);
const isPart = (r) => /[_\p{L}\p{Nl}\p{Nd}\p{Mn}\p{Mc}\p{Pc}]/u.test(r);
const isDigit = (r) => r >= "0" && r <= "9" && r.length === 1;

// parse reads a bracketed list of calls strictly, with nothing but blanks around it.
export function parse(text) {
  const c = new Cursor(text);
  c.blanks();
  c.need(c.take("["));
  const calls = [];
  c.list("]", () => calls.push(c.call()));
  c.blanks();
  c.need(c.end());
  return calls;
}

export const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);

const byName = (pairs) => pairs.sort((a, b) => (JSON.stringify(a[0]) < JSON.stringify(b[0]) ? -1 : 1));

class Cursor {
  constructor(text) {
    this.text = text;
    this.pos = 0;
    this.depth = 0;
    this.need(Buffer.byteLength(text) <= MAX_BYTES);
  }

  need(fine) {
    if (!fine) throw new SyntaxFault(`character ${this.pos}: ${JSON.stringify(this.text.substr(this.pos, 20))}`);
  }

  end() { return this.pos >= this.text.length; }

  peek(ahead = 0) { return this.text[this.pos + ahead] ?? "\0"; }

  // rune is the whole next character, which may be two units.
  rune() { return this.end() ? "\0" : String.fromCodePoint(this.text.codePointAt(this.pos)); }

  take(token) {
    if (!this.text.startsWith(token, this.pos)) return false;
    this.pos += token.length;
    return true;
  }

  match(pattern) { // a sticky regular expression
    pattern.lastIndex = this.pos;
    const found = pattern.exec(this.text);
    if (found) this.pos = pattern.lastIndex;
    return found;
  }

  blanks() { while (" \t\n\r\f".includes(this.peek())) this.pos++; }

  ident() {
    const start = this.pos;
    for (let r = this.rune(); !this.end() && (this.pos === start ? isStart(r) : isPart(r)); r = this.rune()) {
      this.pos += r.length;
    }
    return this.text.slice(start, this.pos);
  }

  enter() { this.need(++this.depth <= MAX_DEPTH); }

  // list reads items with commas between them up to the closing bracket; a comma before it is allowed.
  list(closing, item) {
    this.enter();
    this.blanks();
    while (!this.take(closing)) {
      item();
      this.blanks();
      if (!this.take(",")) {
        this.need(this.take(closing));
        break;
      }
      this.blanks();
    }
    this.depth--;
  }

  call() {
    const name = this.callName(), args = [], seen = new Set();
    this.need(name !== "");
    this.pos++; // the "(" at which callName stopped
    this.list(")", () => {
      const key = this.argName();
      this.need(key !== "" && !seen.has(key));
      seen.add(key);
      this.blanks();
      args.push([key, this.value()]);
    });
    return ["call", name, byName(args)];
  }

  // callName is the text up to the "(" that opens the arguments; "" without moving if no call begins here.
  callName() {
    const start = this.pos;
    let open = 0, last = "(";
    while (!this.end() && this.pos - start <= MAX_NAME) {
      const r = this.rune();
      if ('[]{}"='.includes(r) || isControl(r) || this.pos === start && "' ,()".includes(r)
        || r === "," && last === ")" || r === ")" && open === 0 || r === "(" && open > 0) break;
      if (r === "(" && this.opensArgs()) return this.text.slice(start, this.pos).replace(/ +$/, "");
      open += (r === "(") - (r === ")");
      if (r !== " ") last = r;
      this.pos += r.length;
    }
    this.pos = start;
    return "";
  }

  opensArgs() {
    const start = this.pos++;
    this.blanks();
    const opens = this.peek() === ")" || this.argName() !== "";
    this.pos = start;
    return opens;
  }

  argName() {
    const start = this.pos;
    while (!this.end() && this.pos - start <= MAX_NAME) {
      const r = this.rune();
      if (r === "=") {
        const name = this.text.slice(start, this.pos).replace(/[ \t]+$/, "");
        this.pos++;
        if (name !== "" && this.peek() !== "=") return name;
        break;
      }
      if ("[](){}\"',:".includes(r) || isControl(r)) break;
      this.pos += r.length;
    }
    this.pos = start;
    return "";
  }

  value() {
    const b = this.peek();
    if (b === "'" || b === '"') return ["string", this.quoted()];
    if (b === "-" || b === "+") {
      this.pos++;
      this.blanks();
      this.need(this.atNumber());
      const v = this.number();
      return b === "-" ? negated(v) : v;
    }
    if (this.atNumber()) return this.number();
    if (b === "[" || b === "(") {
      this.pos++;
      const [items, trailing] = this.values(b === "[" ? "]" : ")");
      if (b === "(" && items.length === 1 && !trailing) return items[0];
      return [b === "[" ? "list" : "tuple", items];
    }
    if (b === "{") {
      this.pos++;
      return this.dict();
    }
    return this.word();
  }

  values(closing) {
    const items = [];
    let trailing = false;
    this.list(closing, () => {
      items.push(this.value());
      this.blanks();
      trailing = this.peek() === ",";
    });
    return [items, trailing];
  }

  dict() {
    const pairs = [], seen = new Set();
    this.list("}", () => {
      const key = this.value(), plain = hashKey(key);
      this.need(plain !== null && !seen.has(plain));
      seen.add(plain);
      this.blanks();
      this.need(this.take(":"));
      this.blanks();
      pairs.push([key, this.value()]);
    });
    return ["dict", byName(pairs)];
  }

  // word is a constant, a nested call, or a bare dotted name, which is a string.
  word() {
    const start = this.pos;
    let word = this.ident();
    while (word !== "" && this.take(".") && this.ident() !== "") word = this.text.slice(start, this.pos);
    this.need(word !== "");
    const end = this.pos = start + word.length;
    this.blanks();
    if (this.end() || ",)]}:".includes(this.peek())) {
      this.pos = end;
      if (word === "True" || word === "true") return ["bool", true];
      if (word === "False" || word === "false") return ["bool", false];
      return word === "None" || word === "null" ? NONE : ["string", word];
    }
    this.pos = start;
    this.enter();
    const call = this.call();
    this.depth--;
    return call;
  }

  atNumber() { return isDigit(this.peek()) || this.peek() === "." && isDigit(this.peek(1)); }

  number() {
    const prefixed = this.peek() === "0" && "xXoObB".includes(this.peek(1));
    const found = this.match(prefixed
      ? /0(?:[xX](?:_?[0-9a-fA-F])+|[oO](?:_?[0-7])+|[bB](?:_?[01])+)/y
      : /(?:[0-9](?:_?[0-9])*)?(\.(?:[0-9](?:_?[0-9])*)?)?([eE][+-]?[0-9](?:_?[0-9])*)?/y);
    this.need(found && (this.end() || !isPart(this.rune())));
    const literal = found[0].replaceAll("_", "");
    if (prefixed) {
      this.need(found[0].length <= MAX_DIGITS);
      return ["int", BigInt(literal).toString()];
    }
    if (found[1] !== undefined || found[2] !== undefined) return ["float", floatText(Number(literal))];
    const digits = literal.replace(/^0+/, "") || "0";
    this.need(digits === "0" || digits.length === literal.length && digits.length <= MAX_DIGITS);
    return ["int", digits];
  }

  quoted() {
    let quote = this.peek();
    const long = this.take(quote.repeat(3));
    if (long) quote = quote.repeat(3);
    else this.pos++;
    let out = "";
    while (!this.take(quote)) {
      this.need(!this.end() && (long || !"\n\r".includes(this.peek())));
      if (this.peek() === "\\") {
        this.pos++;
        out += this.escape();
      } else if (this.take("\r\n") || this.take("\r")) {
        out += "\n";
      } else {
        out += this.peek();
        this.pos++;
      }
    }
    return out;
  }

  escape() {
    const letter = this.peek();
    const plain = { "\\": "\\", "'": "'", '"': '"', a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };
    if (letter in plain) {
      this.pos++;
      return plain[letter];
    }
    if (this.take("\r\n") || this.take("\n") || this.take("\r")) return "";
    if ("xuU".includes(letter)) return this.hexEscape({ x: 2, u: 4, U: 8 }[letter]);
    this.need(letter !== "N");
    const octal = this.match(/[0-7]{1,3}/y);
    return octal ? String.fromCodePoint(parseInt(octal[0], 8)) : "\\";
  }

  hexEscape(digits) {
    this.pos++;
    let r = this.hexDigits(digits);
    if (r >= 0xD800 && r < 0xDC00) {
      this.need(this.take("\\u"));
      const low = this.hexDigits(4);
      this.need(low >= 0xDC00 && low < 0xE000);
      r = 0x10000 + ((r - 0xD800) << 10) + (low - 0xDC00);
    }
    this.need(r <= 0x10FFFF && !(r >= 0xD800 && r < 0xE000));
    return String.fromCodePoint(r);
  }

  hexDigits(digits) {
    const found = this.match(new RegExp(`[0-9a-fA-F]{${digits}}`, "y"));
    this.need(found);
    return parseInt(found[0], 16);
  }

  // json reads one value of JSON; unlike JSON.parse it tells 1 from 1.0.
  json() {
    this.enter();
    this.match(/[ \t\n\r]*/y);
    const b = this.peek();
    let v;
    if (b === "{" || b === "[") {
      this.pos++;
      v = b === "{" ? this.jsonItems("}", new Map()) : this.jsonItems("]", []);
      v = b === "[" ? ["list", v] : ["dict", byName([...v].map(([k, x]) => [["string", k], x]))];
    } else if (b === '"') {
      v = ["string", this.jsonText()];
    } else if (this.take("true")) {
      v = ["bool", true];
    } else if (this.take("false")) {
      v = ["bool", false];
    } else if (this.take("null")) {
      v = NONE;
    } else {
      const n = this.match(/-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y);
      this.need(n);
      if (n[1] !== undefined || n[2] !== undefined) {
        this.need(Number.isFinite(Number(n[0])));
        v = ["float", floatText(Number(n[0]))];
      } else {
        this.need(n[0].length <= MAX_DIGITS);
        v = ["int", BigInt(n[0]).toString()];
      }
    }
    this.depth--;
    return v;
  }

  jsonItems(closing, into) {
    const space = /[ \t\n\r]*/y;
    this.match(space);
    if (this.take(closing)) return into;
    do {
      this.match(space);
      if (closing === "}") {
        const key = this.jsonText();
        this.match(space);
        this.need(this.take(":"));
        into.set(key, this.json());
      } else {
        into.push(this.json());
      }
      this.match(space);
    } while (this.take(","));
    this.need(this.take(closing));
    return into;
  }

  jsonText() {
    const found = this.match(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y);
    this.need(found);
    const text = JSON.parse(found[0]);
    this.need(text.isWellFormed());
    return text;
  }

  // jsonCall reads {"name": …, "arguments": {…}}; keys are the possible names of the second field.
  jsonCall(...keys) {
    this.blanks();
    this.need(this.peek() === "{");
    return callOf(this.json(), keys);
  }

  // hermesCall reads the JSON of a block or, as the makers of Hermes do, Python's literal of the same dict.
  hermesCall() {
    const start = this.pos, depth = this.depth;
    try {
      return this.jsonCall("arguments");
    } catch (e) {
      this.pos = start;
      this.depth = depth;
      this.blanks();
      if (!(e instanceof SyntaxFault) || !/^\{[ \t\n\r\f]*'/.test(this.text.slice(this.pos))) throw e;
      return callOf(this.value(), ["arguments"]);
    }
  }
}

const floatText = (x) => (Object.is(x, -0) ? "-0" : String(x));

function negated([kind, x]) {
  if (kind === "int" && x === "0") return [kind, x];
  return [kind, x.startsWith("-") ? x.slice(1) : "-" + x];
}

// hashKey is the same text for keys that Python holds to be equal; null: it cannot be a key.
function hashKey(v) {
  switch (v[0]) {
    case "none": return "none";
    case "bool": return "n" + Number(v[1]);
    case "int": return "n" + v[1];
    case "float": return Number.isInteger(Number(v[1])) ? "n" + BigInt(Number(v[1])) : "f" + v[1];
    case "string": return "s" + v[1];
    case "tuple": {
      const items = v[1].map(hashKey);
      return items.includes(null) ? null : "t" + JSON.stringify(items);
    }
  }
  return null;
}

function callOf(v, keys) {
  if (v[0] !== "dict") throw new SyntaxFault("no object");
  const fields = new Map(v[1].filter(([k]) => k[0] === "string").map(([k, x]) => [k[1], x]));
  const name = fields.get("name") ?? NONE;
  if (name[0] !== "string" || name[1] === "") throw new SyntaxFault('an object without "name"');
  for (const key of keys) {
    if (fields.has(key)) return ["call", name[1], argsOf(fields.get(key))];
  }
  throw new SyntaxFault(`an object without "${keys[0]}"`);
}

function argsOf(v) {
  if (v[0] === "none" || v[0] === "string" && v[1].trim() === "") return [];
  if (v[0] !== "dict" || v[1].some(([k]) => k[0] !== "string")) throw new SyntaxFault("arguments that are no object");
  return byName(v[1].map(([k, x]) => [k[1], x]));
}

function readHermes(answer) {
  const c = new Cursor(cutThought(answer)), calls = [];
  for (let at; (at = c.text.indexOf(OPEN_CALL, c.pos)) >= 0;) {
    c.pos = at + OPEN_CALL.length;
    calls.push(c.hermesCall());
    c.blanks();
    c.need(c.take(CLOSE_CALL));
  }
  c.need(calls.length > 0);
  return calls;
}

function readLlama(answer) {
  const c = new Cursor(answer), calls = [];
  c.blanks();
  c.take(PYTHON_TAG);
  for (;;) {
    calls.push(c.jsonCall("parameters", "arguments"));
    c.blanks();
    if (c.end()) return calls;
    c.need(c.take(";"));
  }
}

export const READERS = { [PYTHONIC]: parse, [HERMES]: readHermes, [LLAMA_JSON]: readLlama };

// cutThought is the answer without a complete <think> block at its beginning.
function cutThought(answer) {
  const found = /^[ \t\r\n]*<think>([^]*?)<\/think>[ \t\r\n]*/.exec(answer);
  return found ? answer.slice(found[0].length) : answer;
}

// formatOf is the format of an answer: its beginning decides, or else the first mark of a format behind words.
export function formatOf(answer) {
  const text = cutThought(answer).trim();
  if (text.startsWith(OPEN_CALL)) return HERMES;
  if (text.startsWith("{") || text.startsWith(PYTHON_TAG)) return LLAMA_JSON;
  if (text.startsWith("[")) return PYTHONIC;
  const llama = /^[ \t]*(?:\{[\t\n\f\r ]*"(?:name|type|parameters|arguments)"[\t\n\f\r ]*:|<\|python_tag\|>)/m.exec(text);
  let first = PYTHONIC, at = bracketLine(text);
  for (const [f, i] of [[HERMES, text.indexOf(OPEN_CALL)], [LLAMA_JSON, llama ? llama.index : -1]]) {
    if (i >= 0 && (at < 0 || i < at)) [first, at] = [f, i];
  }
  return first;
}

// bracketLine is where the first line begins with "[" and the name of a call; −1: nowhere.
function bracketLine(text) {
  if (Buffer.byteLength(text) > MAX_BYTES) return -1;
  const c = new Cursor(text);
  for (let at; (at = text.indexOf("\n[", c.pos)) >= 0;) {
    c.pos = at + 2;
    c.blanks();
    if (c.callName() !== "") return at + 1;
    c.pos = at + 2;
  }
  return -1;
}
