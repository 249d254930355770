# Writes pyarrow.arrow with another language's writer: pip install pyarrow
# Columns are nullable and the schema has metadata, as writers have it by default.
import pyarrow as pa

schema = pa.schema([
    ("text", pa.utf8()), ("yes", pa.bool_()), ("i32", pa.int32()), ("i64", pa.int64()),
    ("u64", pa.uint64()), ("f32", pa.float32()), ("f64", pa.float64()), ("raw", pa.binary()),
    ("ints", pa.list_(pa.int32())), ("floats", pa.list_(pa.float32())), ("texts", pa.list_(pa.utf8())),
], metadata={"writer": "pyarrow " + pa.__version__})
rows = [
    {"text": "héllo", "yes": True, "i32": -1, "i64": 2**40, "u64": 2**64 - 1, "f32": 0.5, "f64": -0.25,
     "raw": b"\x00\xff", "ints": [1, -2, 3], "floats": [0.25], "texts": ["a", "", "ß"]},
    {"text": "", "yes": False, "i32": 0, "i64": 0, "u64": 0, "f32": 0.0, "f64": 0.0,
     "raw": b"", "ints": [], "floats": [], "texts": []},
    {"text": "z", "yes": True, "i32": 7, "i64": 8, "u64": 9, "f32": 1.5, "f64": 2.5,
     "raw": b"r", "ints": [4], "floats": [5, 6], "texts": ["last"]},
]
table = pa.Table.from_pylist(rows, schema=schema)
with pa.OSFile("pyarrow.arrow", "wb") as file, pa.ipc.new_stream(file, schema) as out:
    out.write_batch(table.slice(0, 2).to_batches()[0])  # several batches, the second one sliced
    out.write_batch(table.slice(2, 1).to_batches()[0])
