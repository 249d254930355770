"""The peers' side of the comparison: `bench` (Go) starts it and writes one JSON a line.

    {"job": "sft", "folder": DIR, "variant": "fp32", ...sizes}   prepares, answers {"ready": true}; a tree has its calls, and says "logprobs"
    {"go": true}                                                 does the job once, answers {"seconds": s}

Sizes are numbers of tokens, sequences and pairs, as bench/main.go names them. Errors are
answered as {"error": text}. Two threads, as the other side.
"""

import json
import os
import sys
import time
import types

THREADS = int(os.environ.get("ITOOL_BENCH_THREADS", "2"))
os.environ["OMP_NUM_THREADS"] = str(THREADS)

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def torch_model(job):
    """The checkpoint with a LoRA of rank 16: variants are fp32, bf16 (weights), autocast, each with "+compile"."""
    import peft
    import torch
    import transformers

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    kind, _, compiled = job["variant"].partition("+")
    dtype = torch.bfloat16 if kind == "bf16" else torch.float32
    model = transformers.AutoModelForCausalLM.from_pretrained(job["folder"], dtype=dtype, attn_implementation="sdpa")
    model = peft.get_peft_model(model, peft.LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS, task_type="CAUSAL_LM"))
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, foreach=True)
    context = torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "autocast")
    run = torch.compile(model) if compiled else model
    return torch, model, run, optimizer, context


def finish(torch, model, optimizer, loss):
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    optimizer.step()
    optimizer.zero_grad()


def sft(job):
    """A step on sequences of one length, with a loss on every token: packed without any padding."""
    torch, model, run, optimizer, context = torch_model(job)
    ids = torch.randint(0, model.config.vocab_size, (job["sequences"], job["tokens"]))

    def step():
        with context:
            loss = run(input_ids=ids, labels=ids, use_cache=False).loss
        finish(torch, model, optimizer, loss)

    return step


def simpo(job):
    """A step of TRL's CPO with loss_type simpo and cpo_alpha 0, in micro-batches that fit into memory."""
    torch, model, run, optimizer, context = torch_model(job)
    from trl.experimental.cpo.cpo_trainer import CPOTrainer

    trainer = CPOTrainer.__new__(CPOTrainer)  # the loss alone: a Trainer wants datasets and a run's folder
    vars(trainer).update(
        is_encoder_decoder=False, pad_token_id=0, label_pad_token_id=-100, aux_loss_enabled=False, loss_type="simpo", alpha=0.0, cpo_alpha=0.0,
        beta=2.5, simpo_gamma=0.5, label_smoothing=0.0,
        accelerator=types.SimpleNamespace(device=torch.device("cpu"), gather_for_metrics=lambda x: x))
    n, prompt, fragment = job["pairs"], job["prompt"], job["fragment"]
    prompts = torch.randint(0, model.config.vocab_size, (n, prompt))
    batch = {}
    for side in ("chosen", "rejected"):
        ids = torch.cat([prompts, torch.randint(0, model.config.vocab_size, (n, fragment))], 1)
        labels = ids.clone()
        labels[:, :prompt] = -100
        batch |= {f"{side}_input_ids": ids, f"{side}_labels": labels, f"{side}_attention_mask": torch.ones_like(ids)}
    # Whole logits stand in memory twice, in float32: a gigabyte each at most.
    micro = max(1, min(n, (1 << 30) // (8 * (prompt + fragment) * model.config.vocab_size)))

    def step():
        for at in range(0, n, micro):
            part = {k: v[at : at + micro] for k, v in batch.items()}
            with context:
                loss, _ = trainer.get_batch_loss_metrics(run, part)
            (loss * len(part["chosen_labels"]) / n).backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def llama(job, context, batch):
    import ctypes

    import llama_cpp

    @llama_cpp.llama_log_callback
    def silent(*_):
        pass

    llama.silent = silent
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    params = llama_cpp.llama_model_default_params()
    model = llama_cpp.llama_model_load_from_file(job["file"].encode(), params)
    if not model:
        raise RuntimeError(f"llama.cpp does not load {job['file']}")
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = context, batch, min(batch, 512), job.get("sequences", 1)
    params.n_threads = params.n_threads_batch = THREADS
    params.kv_unified = True
    ctx = llama_cpp.llama_init_from_model(model, params)
    if not ctx:
        raise RuntimeError("llama.cpp makes no context")
    vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    return llama_cpp, ctx, vocab


class Batch:
    """llama_batch, filled row by row."""

    def __init__(self, lib, size):
        self.lib, self.raw = lib, lib.llama_batch_init(size, 0, 1)

    def clear(self):
        self.raw.n_tokens = 0

    def add(self, token, position, sequence, logits):
        i = self.raw.n_tokens
        self.raw.token[i], self.raw.pos[i], self.raw.n_seq_id[i], self.raw.logits[i] = token, position, 1, logits
        self.raw.seq_id[i][0] = sequence
        self.raw.n_tokens = i + 1

    def decode(self, ctx):
        if self.lib.llama_decode(ctx, self.raw):
            raise RuntimeError("llama_decode failed")


def score(job):
    """Log-probabilities of answers after prompts, each prompt another one."""
    import numpy

    n, prompt, answer = job["sequences"], job["prompt"], job["answer"]
    lib, ctx, vocab = llama(dict(job, sequences=1), prompt + answer, prompt + answer)
    batch = Batch(lib, prompt + answer)
    rng = numpy.random.default_rng(0)
    sequences = rng.integers(0, vocab, (n, prompt + answer)).tolist()

    def step():
        for ids in sequences:
            lib.llama_memory_clear(lib.llama_get_memory(ctx), True)
            batch.clear()
            for i, t in enumerate(ids):
                batch.add(t, i, 0, prompt - 1 <= i < prompt + answer - 1)
            batch.decode(ctx)
            for i in range(answer):
                row = numpy.ctypeslib.as_array(lib.llama_get_logits_ith(ctx, prompt - 1 + i), (vocab,))
                numpy.log(numpy.exp(row - row.max()).sum())

    return step


def decode(job):
    """Tokens drawn after one short prompt by many sequences at once."""
    import numpy

    n, prompt, tokens = job["sequences"], job["prompt"], job["tokens"]
    lib, ctx, vocab = llama(job, n * (prompt + tokens), max(prompt, n))
    batch = Batch(lib, max(prompt, n))
    rng = numpy.random.default_rng(0)
    ids = rng.integers(0, vocab, prompt).tolist()

    def step():
        memory = lib.llama_get_memory(ctx)
        lib.llama_memory_clear(memory, True)
        batch.clear()
        for i, t in enumerate(ids[:-1]):
            batch.add(t, i, 0, False)
        if prompt > 1:
            batch.decode(ctx)
        for s in range(1, n):
            lib.llama_memory_seq_cp(memory, 0, s, -1, -1)
        last = [ids[-1]] * n
        for i in range(tokens):
            batch.clear()
            for s in range(n):
                batch.add(last[s], prompt - 1 + i, s, True)
            batch.decode(ctx)
            for s in range(n):
                row = numpy.ctypeslib.as_array(lib.llama_get_logits_ith(ctx, s), (vocab,))
                p = numpy.exp(row - row.max())
                last[s] = int(numpy.searchsorted(p.cumsum(), rng.random() * p.sum()).clip(0, vocab - 1))

    return step


class Search:
    """The calls of one search, repeated: every token that was drawn is decoded, drawn again for the cost of it, and then
    replaced by the one of the record, so that both sides compute the same. logprobs are the sums over each call's tokens."""

    def __init__(self, job):
        import numpy

        self.numpy, self.rng = numpy, numpy.random.default_rng(0)
        self.calls = [[dict(c, context=numpy.array(c["context"], numpy.int32)) for c in together] for together in job["calls"]]
        longest = max(len(c["context"]) + len(c["tokens"]) for together in self.calls for c in together)
        self.width = job["width"]
        self.size = 2048  # of a batch, the server's default
        self.lib, self.ctx, self.vocab = llama(dict(job, sequences=self.width), longest * self.width, self.size)
        self.memory, self.batch = self.lib.llama_get_memory(self.ctx), Batch(self.lib, self.size)

    def logits(self, row):
        return self.numpy.ctypeslib.as_array(self.lib.llama_get_logits_ith(self.ctx, row), (self.vocab,))

    def take(self, call, logits):
        """Takes the call's next token, or all that are read; returns whether the call is done."""
        top = logits.max()
        p = self.numpy.exp(logits - top)
        total = p.sum()
        if call["draws"]:
            self.numpy.searchsorted(p.cumsum(), self.rng.random() * total)
        tokens = [call["tokens"][call["done"]]] if call["draws"] else call["tokens"]
        call["logprob"] += float((logits[tokens] - top - self.numpy.log(total)).sum())
        call["done"] += len(tokens)
        return call["done"] == len(call["tokens"])

    def __call__(self):
        self.begin()
        for together in self.calls:
            for call in together:
                call.update(done=0, logprob=0.0)
            self.serve(together)
        self.logprobs = [call["logprob"] for together in self.calls for call in together]


class Scratch(Search):
    """Every call on its own: its whole context in one batch, then token by token."""

    def begin(self):
        pass

    def serve(self, together):
        for call in together:
            self.lib.llama_memory_clear(self.memory, True)
            self.decode(call["context"], 0)
            at = len(call["context"])
            while not self.take(call, self.logits(self.batch.raw.n_tokens - 1)):
                self.decode([call["tokens"][call["done"] - 1]], at)
                at += 1

    def decode(self, tokens, at):
        self.batch.clear()
        for i, t in enumerate(tokens):
            self.batch.add(t, at + i, 0, i == len(tokens) - 1)
        self.batch.decode(self.ctx)


class Server(Search):
    """What llama-server does with the calls, through the library and without HTTP, by its defaults: as many slots as the
    tree is wide, each with the keys of its last call. A call goes to the free slot that shares the longest prefix with it, if
    that is a tenth of it, else to the one that was used least recently. Before a slot loses more than half of what it
    holds, that is saved in memory, and what was saved before is loaded if it shares more. Calls with equal contexts are one request
    for several answers ("n"): the context is computed once and copied. All slots decode in one batch."""

    def begin(self):
        self.lib.llama_memory_clear(self.memory, True)
        self.slots = [types.SimpleNamespace(id=i, held=self.ids([]), call=None, parent=None, pending=None, used=0) for i in range(self.width)]
        self.saved, self.clock = [], 0

    def ids(self, tokens):
        return self.numpy.array(tokens, self.numpy.int32)

    def common(self, a, b):
        n = min(len(a), len(b))
        other = a[:n] != b[:n]
        return int(other.argmax()) if other.any() else n

    def serve(self, together):
        waiting = list(together)
        while waiting or any(s.call for s in self.slots):
            while waiting and any(not s.call for s in self.slots):
                self.launch(waiting.pop(0))
            self.decode()

    def launch(self, call):
        """Gives a call to a slot."""
        context, free = call["context"], [s for s in self.slots if not s.call]
        oldest = min(free, key=lambda s: s.used)
        parents = [s for s in self.slots if s.call and not s.call["done"] and not s.parent and self.numpy.array_equal(s.call["context"], context)]
        if parents:
            slot, slot.parent = oldest, parents[0]
            self.save(slot)
        else:
            slot = max(free, key=lambda s: self.common(s.held, context))
            keep = self.common(slot.held, context)
            if keep * 10 <= len(context):
                slot = oldest
            if slot is oldest or keep * 2 < len(slot.held):
                self.save(slot)
                self.load(slot, context)
            keep = min(self.common(slot.held, context), len(context) - 1)
            self.lib.llama_memory_seq_rm(self.memory, slot.id, keep, -1)
            slot.held, slot.pending = slot.held[:keep], context[keep:]
        self.clock += 1
        slot.call, slot.used = call, self.clock

    def save(self, slot):
        """Saves what a slot holds, unless it is saved, in place of what it goes on from."""
        import ctypes

        if not len(slot.held) or any(self.common(s.held, slot.held) == len(slot.held) for s in self.saved):
            return
        self.saved = [s for s in self.saved if self.common(s.held, slot.held) < len(s.held)]
        size = self.lib.llama_state_seq_get_size(self.ctx, slot.id)
        state = (ctypes.c_uint8 * size)()
        self.lib.llama_state_seq_get_data(self.ctx, state, size, slot.id)
        self.saved.append(types.SimpleNamespace(held=slot.held, state=state))

    def load(self, slot, context):
        """Loads what was saved, if that shares more with the context than what the slot holds, and a larger part of itself."""
        best, shared = None, self.common(slot.held, context)
        part = shared / max(1, len(slot.held))
        for s in self.saved:
            n = self.common(s.held, context)
            if n > shared and n / len(s.held) > max(part, 0.25):
                best, shared, part = s, n, n / len(s.held)
        if not best:
            return
        self.lib.llama_memory_seq_rm(self.memory, slot.id, -1, -1)
        if not self.lib.llama_state_seq_set_data(self.ctx, best.state, len(best.state), slot.id):
            raise RuntimeError("llama_state_seq_set_data failed")
        self.saved = [s for s in self.saved if s is not best]
        slot.held = best.held

    def decode(self):
        """One batch of what all slots have to compute, and a token for those that are through."""
        self.batch.clear()
        through = []
        for s in self.slots:
            if not s.call or s.parent:
                continue
            part = s.pending[: self.size - self.batch.raw.n_tokens]
            for i, t in enumerate(part):
                self.batch.add(t, len(s.held) + i, s.id, i == len(s.pending) - 1)
            s.held, s.pending = self.numpy.concatenate([s.held, part]), s.pending[len(part) :]
            if len(part) and not len(s.pending):
                through.append((s, self.batch.raw.n_tokens - 1))
        self.batch.decode(self.ctx)
        for s, row in through:
            logits = self.logits(row)
            for child in self.slots:
                if child.parent is s:
                    self.lib.llama_memory_seq_rm(self.memory, child.id, -1, -1)
                    self.lib.llama_memory_seq_cp(self.memory, s.id, child.id, -1, -1)
                    child.held, child.parent = s.held, None
                    self.go_on(child, logits)
            self.go_on(s, logits)

    def go_on(self, slot, logits):
        if self.take(slot.call, logits):
            slot.call = None
        else:
            slot.pending = self.ids([slot.call["tokens"][slot.call["done"] - 1]])


def tree(job):
    search = {"every node from scratch": Scratch, "its server with a prompt cache": Server}[job["variant"]](job)
    search()
    return search


def gemm(job):
    """The products of rows with each of a layer's matrices, by oneDNN, the matrices in its own layout, or by PyTorch's BLAS; four layers a turn."""
    import torch
    import transformers

    torch.set_num_threads(THREADS)
    c = transformers.AutoConfig.from_pretrained(job["folder"])
    head = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    q, kv, hidden, wide = c.num_attention_heads * head, c.num_key_value_heads * head, c.hidden_size, c.intermediate_size
    pairs = []
    for n, k in [(q, hidden), (kv, hidden), (kv, hidden), (hidden, q), (wide, hidden), (wide, hidden), (hidden, wide)]:
        x, w = torch.randn(job["tokens"], k), torch.randn(n, k)
        pairs.append((x, torch.ops.mkldnn._reorder_linear_weight(w, job["tokens"]) if job["variant"] == "oneDNN" else w))

    def step():
        with torch.inference_mode():
            for _ in range(4):
                for x, w in pairs:
                    torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], "") if w.is_mkldnn else torch.nn.functional.linear(x, w)

    return step


JOBS = {"gemm": gemm, "sft": sft, "simpo": simpo, "score": score, "decode": decode, "tree": tree}
step = None
for line in sys.stdin:
    ask = json.loads(line)
    try:
        if "job" in ask:
            step = None
            step = JOBS[ask["job"]](ask)
            answer = {"ready": True, "logprobs": getattr(step, "logprobs", [])}
        else:
            start = time.perf_counter()
            step()
            answer = {"seconds": time.perf_counter() - start}
    except Exception as e:  # a row that cannot be run says why
        answer = {"error": f"{type(e).__name__}: {e}"[:300]}
    print(json.dumps(answer), flush=True)
