"""The records of the wire, and their batches as Arrow IPC streams.

COLUMNS repeats the tables of schemas/README.md; a test compares the two. `encode` writes a batch,
`decode` reads one that may come from anywhere: it checks digest, schema, rows and every buffer.
"""

import hashlib
import math

import pyarrow as pa

_TYPES = {
    "s": pa.utf8(), "i": pa.int32(), "l": pa.int64(), "u": pa.uint64(), "d": pa.float64(), "b": pa.bool_(),
    "I": pa.list_(pa.int32()),
}

# name:type, where s is utf8, i int32, l int64, u uint64, d float64, b bool, I a list of int32.
COLUMNS = {
    "run/v2": "name:s created:s seed:u config:s config_digest:s base:s dataset:s store:s",
    "manifest/v1": "key:s",
    "gather/v1": "key:s failed:b",
    "shard/v1": "key:s file:s sha256:s name:s format:s first:i rows:i",
    "example/v1": "id:s source:s row:i turn:i category:s messages:s tools:s reference:s acceptable:s "
                  "prompt_ids:I answer_ids:I template:s candidates:i tool_chars:i calls:i difficulty:s part:s "
                  "replay:b reason:s detail:s",
    "candidate/v2": "node:i parent:i tokens:I text:s log_prob:d prior:d visits:i q:d v:d reward:d outcome:d "
                    "self_eval:d terminal:b cut:b pass:b error_type:s example_id:s tools:s reference:s acceptable:s "
                    "category:s calls:i",
    "pair/v2": "example_id:s node:i prompt_ids:I chosen_ids:I rejected_ids:I chosen_text:s rejected_text:s "
               "chosen_q:d rejected_q:d similarity:d reason:s other_mode:s kind:s proven:b",
    "policy/v1": "checkpoint:s parent:s base:s status:s detail:s steps:i examples:i metrics:s curve:s",
    "progress/v1": "stage:s key:s done:l total:l unit:s detail:s",
    "failed/v1": "stage:s subject:s attempts:i reason:s error:s worker:s",
    "end/v1": "status:s detail:s rounds:i",
    # The versions before those above, which a reader accepts, too: the columns that came later are missing.
    "run/v1": "name:s created:s seed:u config:s config_digest:s base:s dataset:s",
    "candidate/v1": "node:i parent:i tokens:I text:s log_prob:d prior:d visits:i q:d v:d reward:d outcome:d "
                    "self_eval:d terminal:b cut:b pass:b error_type:s example_id:s",
    "pair/v1": "example_id:s node:i prompt_ids:I chosen_ids:I rejected_ids:I chosen_text:s rejected_text:s "
               "chosen_q:d rejected_q:d similarity:d reason:s other_mode:s",
}

_EMPTY = {"s": "", "i": 0, "l": 0, "u": 0, "d": 0.0, "b": False, "I": []}

MAX_BODY = 1 << 30  # bytes of a body behind a claim


class Reject(Exception):
    """No retry can cure it: the item is given up at once."""


class Newer(Exception):
    """Only a newer worker can read it: the item waits for one."""


def columns(schema):
    """The columns of a schema such as "pair/v1", as (name, letter of the type)."""
    return [tuple(c.split(":")) for c in COLUMNS[schema].split()]


def arrow_schema(schema):
    return pa.schema([pa.field(name, _TYPES[t], nullable=False) for name, t in columns(schema)])


def readable(want, have):
    """Check that a reader of schema `want` can read `have`: the same record, its version or the one before."""
    record, version = split_schema(want)
    other, n = split_schema(have)
    if other != record:
        raise Reject(f"schema {have}, want {want}")
    if n > version:
        raise Newer(f"needs {have}")
    if n < version - 1:
        raise Reject(f"{have} is too old to be read, want {want}")


def split_schema(text):
    record, slash, version = text.partition("/v")
    if not slash or not version.isdigit() or version.startswith("0"):
        raise Reject(f"{text[:64]!r} is no schema such as pair/v1")
    return record, int(version)


def encode(schema, rows):
    """The body of a batch: rows are dicts. The bytes depend on nothing but the rows."""
    _check_finite(schema, rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow_schema(schema)) as out:
        if rows:
            out.write_batch(pa.RecordBatch.from_pylist(rows, schema=arrow_schema(schema)))
    return sink.getvalue().to_pybytes()


def _check_finite(schema, rows):
    lists = [name for name, t in columns(schema) if t == "I"]
    for number, row in enumerate(rows):
        for name in lists:
            if row[name] is None:
                raise Reject(f"{schema}: row {number}: {name}: a list is empty, never null")


def decode(want, have, body, sha256, row_count):
    """The rows of a batch as dicts. `want` is the schema of the reader, the others are from the header."""
    readable(want, have)
    digest = hashlib.sha256(body).hexdigest()
    if digest != sha256:
        raise Reject(f"{have}: body of {len(body)} bytes has digest {digest}, the header says {sha256[:64]}")
    try:
        with pa.ipc.open_stream(pa.BufferReader(body)) as stream:
            _same_schema(have, stream.schema)
            table = stream.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as e:  # pyarrow maps invalid streams to both
        raise Reject(f"{have}: {e}") from None
    if table.num_rows != row_count:
        raise Reject(f"{have}: {table.num_rows} rows, the header says {row_count}")
    for column, field in zip(table.columns, table.schema):
        if column.null_count:
            raise Reject(f"{have}: column {field.name}: null is not allowed")
    later = {name: _EMPTY[t] for name, t in columns(want)}
    return [later | row for row in table.to_pylist()]


def _same_schema(name, got):
    want = columns(name)
    if len(got) != len(want):
        raise Reject(f"{name}: {len(got)} columns, want {len(want)}")
    for field, (column, t) in zip(got, want):
        same = field.name == column and (
            pa.types.is_list(field.type) and field.type.value_type == pa.int32() if t == "I"
            else field.type == _TYPES[t])
        if not same:
            raise Reject(f"{name}: column {field.name} of type {field.type}, want {column} of {_TYPES[t]}")


def finite(row, *names):
    """Check that the numbers of a row are finite."""
    for name in names:
        if not math.isfinite(row[name]):
            raise Reject(f"{name}: {row[name]} is not a finite number")
