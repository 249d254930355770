// Writes arrowjs.arrow with another language's writer: npm install apache-arrow
const a = require("apache-arrow");
const fs = require("fs");

const list = (type) => new a.List(new a.Field("entry", type, true));
const columns = {
  text: [new a.Utf8(), ["héllo", "", "z"]],
  yes: [new a.Bool(), [true, false, true]],
  i32: [new a.Int32(), [-1, 0, 7]],
  i64: [new a.Int64(), [1n << 40n, 0n, 8n]],
  u64: [new a.Uint64(), [(1n << 64n) - 1n, 0n, 9n]],
  f32: [new a.Float32(), [0.5, 0, 1.5]],
  f64: [new a.Float64(), [-0.25, 0, 2.5]],
  raw: [new a.Binary(), [Uint8Array.of(0, 255), Uint8Array.of(), Uint8Array.of(114)]],
  ints: [list(new a.Int32()), [[1, -2, 3], [], [4]]],
  floats: [list(new a.Float32()), [[0.25], [], [5, 6]]],
  texts: [list(new a.Utf8()), [["a", "", "ß"], [], ["last"]]],
};
const vectors = Object.entries(columns).map(([name, [type, values]]) => [name, a.vectorFromArray(values, type)]);
fs.writeFileSync("arrowjs.arrow", a.tableToIPC(new a.Table(Object.fromEntries(vectors)), "stream"));
