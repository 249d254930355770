"""The peers' side of the comparison: `bench` (Go) starts it and writes one JSON a line.

    {"job": "sft", "folder": DIR, "variant": "fp32", ...sizes}   prepares, answers {"ready": true}
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


JOBS = {"sft": sft, "simpo": simpo, "score": score, "decode": decode}
step = None
for line in sys.stdin:
    ask = json.loads(line)
    try:
        if "job" in ask:
            step = None
            step = JOBS[ask["job"]](ask)
            answer = {"ready": True}
        else:
            start = time.perf_counter()
            step()
            answer = {"seconds": time.perf_counter() - start}
    except Exception as e:  # a row that cannot be run says why
        answer = {"error": f"{type(e).__name__}: {e}"[:300]}
    print(json.dumps(answer), flush=True)
