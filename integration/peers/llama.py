"""Reads GGUF files that the engine wrote, with llama.cpp.

    python llama.py FOLDER

FOLDER holds asks.json: a list of {"file", "prompt", "answer", "texts"}. For each, prints
the log-probability of each token of the answer, what llama.cpp goes on with after the
prompt, greedily, as many tokens, and the tokens that it cuts the texts into. With "count"
it goes on after the answer instead, that many tokens. Asks of one file that stand together
open it once.
"""

import ctypes
import functools
import json
import os
import pathlib
import sys

import llama_cpp
import numpy


@llama_cpp.llama_log_callback
def silent(*_):
    pass


llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))


CONTEXT = 1024  # tokens


@functools.lru_cache(1)
class Model:
    def __init__(self, path):
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp does not load {path}")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = CONTEXT
        params.n_threads = params.n_threads_batch = os.cpu_count()
        params.type_k = params.type_v = 0  # float32
        params.flash_attn_type = 0
        self.context = llama_cpp.llama_init_from_model(self.model, params)

    def logps(self, ids, known=0):
        """(len(ids), V): log-probabilities after each token. The tokens before them, known of them, were
        computed by the call before."""
        if not known:
            llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, t in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = t, known + i, 1, True
            batch.seq_id[i][0] = 0
        if llama_cpp.llama_decode(self.context, batch):
            raise SystemExit("llama_decode failed")
        n = llama_cpp.llama_vocab_n_tokens(self.vocab)
        rows = numpy.stack([numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.context, i), (n,)).astype(numpy.float64) for i in range(len(ids))])
        llama_cpp.llama_batch_free(batch)
        rows -= rows.max(-1, keepdims=True)
        return rows - numpy.log(numpy.exp(rows).sum(-1, keepdims=True))

    def greedy(self, row, known, count):
        """The likeliest tokens after known others, the last of which gave row."""
        drawn = []
        while len(drawn) < count:
            drawn.append(int(row.argmax()))
            row = self.logps(drawn[-1:], known + len(drawn) - 1)[-1]
        return drawn

    def cut(self, text):
        raw = text.encode()
        out = (llama_cpp.llama_token * (len(raw) + 8))()
        n = llama_cpp.llama_tokenize(self.vocab, raw, len(raw), out, len(out), False, False)
        return list(out[:n])


folder = pathlib.Path(sys.argv[1])
answers = []
for ask in json.loads((folder / "asks.json").read_text()):
    model, prompt, answer = Model(folder / ask["file"]), ask["prompt"], ask["answer"]
    rows = model.logps(prompt + answer)
    if "count" in ask:
        drawn = model.greedy(rows[-1], len(prompt + answer), ask["count"])
    else:
        drawn = model.greedy(model.logps(prompt)[-1], len(prompt), len(answer))
    answers.append({
        "logps": [float(rows[len(prompt) - 1 + i, t]) for i, t in enumerate(answer)],
        "greedy": drawn,
        "cut": [model.cut(t) for t in ask.get("texts") or []],
    })
print(json.dumps(answers))
