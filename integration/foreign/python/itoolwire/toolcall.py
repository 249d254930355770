"""The grammar of an answer, as far as the filter needs it: schemas/toolcall is what it follows.

A call is (name, {argument: value}). A value is a tuple that begins with its kind, so that two values are
equal if and only if they mean the same: ("int", 1) is not ("float", "1.0").
"""

import json
import math
import re
import unicodedata

PYTHONIC, HERMES, LLAMA_JSON = "pythonic", "hermes", "llama_json"
OPEN_CALL, CLOSE_CALL, PYTHON_TAG = "<tool_call>", "</tool_call>", "<|python_tag|>"
MAX_BYTES, MAX_DEPTH, MAX_DIGITS, MAX_NAME = 1 << 20, 200, 4300, 512
NONE = ("none",)


class SyntaxFault(Exception):
    """The text is no tool call."""


def parse(text):
    """Read a bracketed list of calls strictly, with nothing but blanks around it."""
    c = Cursor(text)
    c.blanks()
    calls = c.answer()
    c.blanks()
    c.need(c.end())
    return calls


def equal(a, b):
    """Whether two lists of calls mean the same; the order of arguments does not matter."""
    return a == b


def _control(r):
    return unicodedata.category(r) == "Cc"


def ident_start(r):
    return r == "_" or unicodedata.category(r) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nl")


def ident_part(r):
    return ident_start(r) or unicodedata.category(r) in ("Nd", "Mn", "Mc", "Pc")


class Cursor:
    def __init__(self, text):
        self.text, self.pos, self.depth = text, 0, 0
        self.need(len(text.encode()) <= MAX_BYTES)

    def need(self, fine):
        if not fine:
            raise SyntaxFault(f"character {self.pos}: {self.text[self.pos:self.pos + 20]!r}")

    def end(self):
        return self.pos >= len(self.text)

    def peek(self, ahead=0):
        at = self.pos + ahead
        return self.text[at] if at < len(self.text) else "\0"

    def take(self, token):
        if self.text.startswith(token, self.pos):
            self.pos += len(token)
            return True
        return False

    def blanks(self):
        while self.peek() in " \t\n\r\f":
            self.pos += 1

    def ident(self):
        start = self.pos
        while not self.end() and (ident_start(self.peek()) if self.pos == start else ident_part(self.peek())):
            self.pos += 1
        return self.text[start:self.pos]

    def answer(self):
        self.need(self.take("["))
        calls = []
        self.list("]", lambda: calls.append(self.call()))
        return calls

    def list(self, closing, item):
        """Items with commas between them up to the closing bracket; a comma before it is allowed."""
        self.depth += 1
        self.need(self.depth <= MAX_DEPTH)
        self.blanks()
        while not self.take(closing):
            item()
            self.blanks()
            if not self.take(","):
                self.need(self.take(closing))
                break
            self.blanks()
        self.depth -= 1

    def call(self):
        name, args = self.call_name(), {}
        self.need(name)
        self.pos += 1  # the "(" at which call_name stopped

        def argument():
            key = self.arg_name()
            self.need(key and key not in args)
            self.blanks()
            args[key] = self.value()
        self.list(")", argument)
        return name, args

    def call_name(self):
        """The text up to the "(" that opens the arguments; "" without moving if no call begins here."""
        start, open, last = self.pos, 0, "("
        while not self.end() and self.pos - start <= MAX_NAME:
            r = self.peek()
            if (r in '[]{}"=' or _control(r) or self.pos == start and r in "' ,()" or r == "," and last == ")"
                    or r == ")" and open == 0 or r == "(" and open > 0):
                break
            if r == "(" and self.opens_args():
                return self.text[start:self.pos].rstrip(" ")
            open += (r == "(") - (r == ")")
            last = last if r == " " else r
            self.pos += 1
        self.pos = start
        return ""

    def opens_args(self):
        start = self.pos
        self.pos += 1
        self.blanks()
        opens = self.peek() == ")" or self.arg_name() != ""
        self.pos = start
        return opens

    def arg_name(self):
        """A name and "="; "" without moving if there is none."""
        start = self.pos
        while not self.end() and self.pos - start <= MAX_NAME:
            r = self.peek()
            if r == "=":
                name = self.text[start:self.pos].rstrip(" \t")
                self.pos += 1
                if name and self.peek() != "=":
                    return name
                break
            if r in "[](){}\"',:" or _control(r):
                break
            self.pos += 1
        self.pos = start
        return ""

    def value(self):
        b = self.peek()
        if b in "'\"":
            return "string", self.quoted()
        if b in "-+":
            self.pos += 1
            self.blanks()
            self.need(self.at_number())
            return negated(self.number()) if b == "-" else self.number()
        if self.at_number():
            return self.number()
        if b == "[":
            self.pos += 1
            return "list", self.values("]")[0]
        if b == "(":
            self.pos += 1
            items, trailing = self.values(")")
            return items[0] if len(items) == 1 and not trailing else ("tuple", items)
        if b == "{":
            self.pos += 1
            return self.dict()
        return self.word()

    def values(self, closing):
        items, trailing = [], False

        def item():
            nonlocal trailing
            items.append(self.value())
            self.blanks()
            trailing = self.peek() == ","
        self.list(closing, item)
        return tuple(items), trailing

    def dict(self):
        pairs, seen = [], set()

        def entry():
            key = self.value()
            plain = hash_key(key)
            self.need(plain is not None and plain not in seen)
            seen.add(plain)
            self.blanks()
            self.need(self.take(":"))
            self.blanks()
            pairs.append((key, self.value()))
        self.list("}", entry)
        return mapping(pairs)

    def word(self):
        """A constant, a nested call, or a bare dotted name, which is a string."""
        start = self.pos
        word = self.ident()
        while word and self.take(".") and self.ident():
            word = self.text[start:self.pos]
        self.need(word)
        end = self.pos = start + len(word)
        self.blanks()
        if self.end() or self.peek() in ",)]}:":
            self.pos = end
            return {"True": ("bool", True), "true": ("bool", True), "False": ("bool", False),
                    "false": ("bool", False), "None": NONE, "null": NONE}.get(word, ("string", word))
        self.pos = start
        self.depth += 1
        self.need(self.depth <= MAX_DEPTH)
        name, args = self.call()
        self.depth -= 1
        return "call", name, tuple(sorted(args.items()))

    def at_number(self):
        return self.peek() in "0123456789" or self.peek() == "." and self.peek(1) in "0123456789"

    DECIMAL = re.compile(r"(?:[0-9](?:_?[0-9])*)?(\.(?:[0-9](?:_?[0-9])*)?)?([eE][+-]?[0-9](?:_?[0-9])*)?")
    PREFIXED = re.compile(r"0(?:[xX](?:_?[0-9a-fA-F])+|[oO](?:_?[0-7])+|[bB](?:_?[01])+)")

    def number(self):
        prefixed = self.peek() == "0" and self.peek(1) in "xXoObB"
        found = (self.PREFIXED if prefixed else self.DECIMAL).match(self.text, self.pos)
        self.need(found)
        self.pos = found.end()
        self.need(self.end() or not ident_part(self.peek()))
        literal = found[0].replace("_", "")
        if prefixed:
            self.need(len(found[0]) <= MAX_DIGITS)
            return "int", int(literal, 0)
        if found[1] or found[2]:
            return "float", repr(float(literal))
        digits = literal.lstrip("0") or "0"
        self.need(digits == "0" or len(digits) == len(literal) <= MAX_DIGITS)
        return "int", int(digits)

    PLAIN = {"\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
             "v": "\v"}

    def quoted(self):
        quote = self.peek()
        long = self.take(3 * quote)
        if long:
            quote = 3 * quote
        else:
            self.pos += 1
        out = []
        while not self.take(quote):
            self.need(not self.end() and (long or self.peek() not in "\n\r"))
            if self.peek() == "\\":
                self.pos += 1
                out.append(self.escape())
            elif self.take("\r\n") or self.take("\r"):
                out.append("\n")
            else:
                out.append(self.peek())
                self.pos += 1
        return "".join(out)

    def escape(self):
        letter = self.peek()
        if letter in self.PLAIN:
            self.pos += 1
            return self.PLAIN[letter]
        if self.take("\r\n") or self.take("\n") or self.take("\r"):
            return ""
        if letter in "xuU":
            return self.hex_escape({"x": 2, "u": 4, "U": 8}[letter])
        self.need(letter != "N")
        octal = re.compile("[0-7]{1,3}").match(self.text, self.pos)
        if octal:
            self.pos = octal.end()
            return chr(int(octal[0], 8))
        return "\\"

    def hex_escape(self, digits):
        self.pos += 1
        r = self.hex_digits(digits)
        if 0xD800 <= r < 0xDC00:
            self.need(self.take("\\u"))
            low = self.hex_digits(4)
            self.need(0xDC00 <= low < 0xE000)
            r = 0x10000 + ((r - 0xD800) << 10) + (low - 0xDC00)
        self.need(r <= 0x10FFFF and not 0xD800 <= r < 0xE000)
        return chr(r)

    def hex_digits(self, digits):
        found = re.compile("[0-9a-fA-F]{%d}" % digits).match(self.text, self.pos)
        self.need(found)
        self.pos = found.end()
        return int(found[0], 16)

    def json_call(self, *keys):
        """Read {"name": …, "arguments": {…}}; keys are the possible names of the second field."""
        self.blanks()
        self.need(self.peek() == "{")
        try:
            value, self.pos = _JSON.raw_decode(self.text, self.pos)
        except (ValueError, RecursionError) as e:
            raise SyntaxFault(str(e)) from None
        return call_of(from_json(value), *keys)

    def hermes_call(self):
        """The JSON of a block or, as the makers of Hermes read it, Python's literal of the same dict."""
        start = self.pos
        try:
            return self.json_call("arguments")
        except SyntaxFault:
            self.pos = start
            self.blanks()
            if not re.match(r"\{[ \t\n\r\f]*'", self.text[self.pos:]):
                raise
            return call_of(self.value(), "arguments")


def negated(v):
    kind, x = v
    return (kind, x[1:] if x.startswith("-") else "-" + x) if kind == "float" else (kind, -x)


def hash_key(v):
    """A Python value that is equal for keys that Python holds to be equal; None: it cannot be a key."""
    kind = v[0]
    if kind == "none":
        return ("none",)
    if kind == "tuple":
        items = tuple(hash_key(x) for x in v[1])
        return None if None in items else ("tuple", items)
    if kind in ("list", "dict", "call"):
        return None
    if kind == "string":
        return ("string", v[1])
    return ("number", float(v[1]) if kind == "float" else v[1])


def mapping(pairs):
    return "dict", tuple(sorted(pairs, key=repr))


def _number(text):
    if len(text) > MAX_DIGITS:
        raise ValueError("an int of too many digits")
    return "int", int(text)


def _float(text):
    if math.isinf(float(text)):
        raise ValueError("out of range")
    return "float", repr(float(text))


def _constant(text):
    raise ValueError(text)


_JSON = json.JSONDecoder(parse_int=_number, parse_float=_float, parse_constant=_constant, object_pairs_hook=dict)


def from_json(v, depth=0):
    if depth > MAX_DEPTH:
        raise SyntaxFault("more than 200 levels of nesting")
    if v is None:
        return NONE
    if isinstance(v, bool):
        return "bool", v
    if isinstance(v, str):
        if any("\ud800" <= r <= "\udfff" for r in v):
            raise SyntaxFault("half of a surrogate pair")
        return "string", v
    if isinstance(v, list):
        return "list", tuple(from_json(x, depth + 1) for x in v)
    if isinstance(v, dict):
        return mapping([(from_json(k), from_json(x, depth + 1)) for k, x in v.items()])
    return v  # a number


def call_of(v, *keys):
    if v[0] != "dict":
        raise SyntaxFault("no object")
    fields = {k[1]: x for k, x in v[1] if k[0] == "string"}
    name = fields.get("name", NONE)
    if name[0] != "string" or not name[1]:
        raise SyntaxFault('an object without "name"')
    for key in keys:
        if key in fields:
            return name[1], args_of(fields[key])
    raise SyntaxFault(f'an object without "{keys[0]}"')


def args_of(v):
    if v[0] == "none" or v[0] == "string" and not v[1].strip():
        return {}
    if v[0] != "dict" or any(k[0] != "string" for k, _ in v[1]):
        raise SyntaxFault("arguments that are no object")
    return {k[1]: x for k, x in v[1]}


def read_hermes(answer):
    c, calls = Cursor(cut_thought(answer)), []
    while (at := c.text.find(OPEN_CALL, c.pos)) >= 0:
        c.pos = at + len(OPEN_CALL)
        calls.append(c.hermes_call())
        c.blanks()
        c.need(c.take(CLOSE_CALL))
    c.need(calls)
    return calls


def read_llama(answer):
    c, calls = Cursor(answer), []
    c.blanks()
    c.take(PYTHON_TAG)
    while True:
        calls.append(c.json_call("parameters", "arguments"))
        c.blanks()
        if c.end():
            return calls
        c.need(c.take(";"))


def cut_thought(answer):
    """The answer without a complete <think> block at its beginning."""
    text = answer.lstrip(" \t\r\n")
    if not text.startswith("<think>"):
        return answer
    _, closed, rest = text[len("<think>"):].partition("</think>")
    return rest.lstrip(" \t\r\n") if closed else answer


_LLAMA_LINE = re.compile(r'^[ \t]*(?:\{[\t\n\f\r ]*"(?:name|type|parameters|arguments)"[\t\n\f\r ]*:|<\|python_tag\|>)',
                         re.M)


def format_of(answer):
    """The format of an answer: its beginning decides, or else the first mark of a format behind words."""
    text = cut_thought(answer).strip()
    for f, marks in ((HERMES, (OPEN_CALL,)), (LLAMA_JSON, ("{", PYTHON_TAG)), (PYTHONIC, ("[",))):
        if text.startswith(marks):
            return f
    first, at = PYTHONIC, bracket_line(text)
    llama = _LLAMA_LINE.search(text)
    for f, i in ((HERMES, text.find(OPEN_CALL)), (LLAMA_JSON, llama.start() if llama else -1)):
        if i >= 0 and (at < 0 or i < at):
            first, at = f, i
    return first


def bracket_line(text):
    """Where the first line begins with "[" and the name of a call; −1: nowhere."""
    try:
        c = Cursor(text)
    except SyntaxFault:
        return -1
    while (at := text.find("\n[", c.pos)) >= 0:
        c.pos = at + 2
        c.blanks()
        if c.call_name():
            return at + 1
        c.pos = at + 2
    return -1
