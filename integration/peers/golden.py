"""Makes tiny random checkpoints of each family that the engine reads, and writes down what
PyTorch, transformers, PEFT and TRL compute with them. The engine's tests compare.

    pip install -r requirements.txt
    python golden.py ../../stages/policy [case ...]

Everything is computed in float64, from weights as the checkpoint stores them; only the
rotary angles are float32, as in transformers itself. Each folder holds

    config.json, model*.safetensors           the checkpoint, written by transformers
    adapter_config.json, adapter_model.*      a LoRA with random A and B, written by PEFT
    golden.json                               inputs, settings, losses, PyTorch's own errors in bf16, versions
    golden.safetensors                        log-probabilities, gradients, the adapter after ten steps

The base of "qlora" is quantised by bitsandbytes; what is computed is of its
dequantised weights. nf4.safetensors holds single matrices and what bitsandbytes makes
of them.

Tensors are stored in float32. DPO and IPO are written out here, as in TRL's
dpo_trainer.py, where they cannot be called alone; SimPO and ORPO are TRL's functions.
"""

import contextlib
import copy
import functools
import json
import pathlib
import shutil
import sys
import tempfile
import types

import bitsandbytes
import peft
import torch
import transformers
import trl
from safetensors.torch import load_file, save_file
from trl.experimental.cpo.cpo_trainer import CPOTrainer
from trl.experimental.orpo.orpo_trainer import ORPOTrainer

SIZES = dict(
    vocab_size=288, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=None,
)
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}  # fast, middling and slow angles


def angles(theta, **scaling):
    return {"rope_theta": theta, "rope_type": "default", **scaling}


# Family, config, dtype of the file, largest shard.
CASES = {
    "llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig(
        **SIZES, tie_word_embeddings=True, rope_parameters=angles(10000.0)), torch.bfloat16, "1GB"),
    "llama3": (transformers.LlamaForCausalLM, transformers.LlamaConfig(
        **SIZES, tie_word_embeddings=False, rope_parameters=angles(500.0, **LLAMA3)), torch.float32, "1GB"),
    "qwen2": (transformers.Qwen2ForCausalLM, transformers.Qwen2Config(
        **SIZES, tie_word_embeddings=True, rope_parameters=angles(1e6)), torch.float16, "30KB"),
    "qwen3": (transformers.Qwen3ForCausalLM, transformers.Qwen3Config(
        **SIZES, head_dim=16, tie_word_embeddings=False, rope_parameters=angles(1e6)), torch.float32, "1GB"),
    "mistral": (transformers.MistralForCausalLM, transformers.MistralConfig(
        **SIZES, head_dim=16, sliding_window=SIZES["max_position_embeddings"],  # of no effect: no context is longer
        tie_word_embeddings=False, rope_parameters=angles(1e6)), torch.bfloat16, "1GB"),
    "smollm3": (transformers.SmolLM3ForCausalLM, transformers.SmolLM3Config(
        **SIZES, no_rope_layer_interval=2,  # the last layer has no rotary positions
        tie_word_embeddings=True, rope_parameters=angles(5e6)), torch.bfloat16, "1GB"),
    "granite": (transformers.GraniteForCausalLM, transformers.GraniteConfig(
        **SIZES, embedding_multiplier=2.5, attention_multiplier=0.45, residual_multiplier=0.35, logits_scaling=1.75,
        tie_word_embeddings=True, rope_parameters=angles(10000.0)), torch.float32, "1GB"),
    "qlora": (transformers.Qwen2ForCausalLM, transformers.Qwen2Config(
        **SIZES, tie_word_embeddings=True, rope_parameters=angles(1e6)), torch.bfloat16, "1GB"),
}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SEEDS = {"smollm3": 3}  # added to the name's: with smaller ones SimPO wins its pairs so far that their gradient is rounding
RANK, ALPHA = 4, 8
BETA = {"simpo": 2.5, "dpo": 0.1, "ipo": 0.1, "orpo": 0.1}
GAMMA = 0.5
STEPS = dict(steps=10, total=20, warmup=2, rate=1e-2, decay=0.01, clip=0.5, batch=2)
SIMPO_STEPS = dict(STEPS, rate=2e-4, batch=3)  # slow: a margin that is won leaves no gradient to compare


def float64_norm(self, x):
    """RMSNorm as in transformers, but for its cast to float32."""
    return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)


NORMS = {cls: cls.forward for cls in (
    transformers.models.llama.modeling_llama.LlamaRMSNorm, transformers.models.qwen2.modeling_qwen2.Qwen2RMSNorm,
    transformers.models.qwen3.modeling_qwen3.Qwen3RMSNorm, transformers.models.mistral.modeling_mistral.MistralRMSNorm,
    transformers.models.smollm3.modeling_smollm3.SmolLM3RMSNorm,
    transformers.models.granite.modeling_granite.GraniteRMSNorm)}
for cls in NORMS:
    cls.forward = float64_norm


@contextlib.contextmanager
def their_norms():
    """RMSNorm as transformers has it."""
    for cls, forward in NORMS.items():
        cls.forward = forward
    yield
    for cls in NORMS:
        cls.forward = float64_norm


def randomize(model, rng):
    """Weights large enough that every part matters."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=rng, dtype=torch.float64)
            if name.endswith("bias"):
                p.copy_(0.5 * noise)
            elif p.dim() == 1:
                p.copy_(1 + 0.2 * noise)
            else:
                p.copy_(noise if "embed" in name else 0.2 * noise)


def draw(rng, n):
    return torch.randint(3, SIZES["vocab_size"], (n,), generator=rng).tolist()


def logps(model, prompt, answer):
    """Log-probabilities of the answer's tokens, (len(answer)); from logits in bf16, too, they are float32, as in transformers."""
    ids = torch.tensor([prompt + answer])
    out = model(ids).logits[0, len(prompt) - 1 : -1]
    out = out.to(torch.promote_types(out.dtype, torch.float32)).log_softmax(-1)
    return out.gather(1, torch.tensor(answer)[:, None])[:, 0]


def sft(model, examples):
    """Mean over all answer tokens of the batch."""
    each = [logps(model, e["prompt"], e["answer"]) for e in examples]
    return -torch.cat(each).mean()


def preference(kind, model, pairs):
    """Mean over the pairs."""
    w = [logps(model, p["prompt"], p["chosen"]) for p in pairs]
    l = [logps(model, p["prompt"], p["rejected"]) for p in pairs]
    mean_w, mean_l = torch.stack([x.mean() for x in w]), torch.stack([x.mean() for x in l])
    trainer = types.SimpleNamespace(
        alpha=0.0, loss_type="simpo", simpo_gamma=GAMMA, beta=BETA[kind], label_smoothing=0.0,
        accelerator=types.SimpleNamespace(device="cpu"))
    if kind == "simpo":
        return CPOTrainer.cpo_loss(trainer, mean_w, mean_l)[0].mean()
    if kind == "orpo":  # TRL subtracts its term from the loss of the chosen side
        return (-mean_w - ORPOTrainer.odds_ratio_loss(trainer, mean_w, mean_l)[0]).mean()
    ref_w = torch.tensor([p["ref_chosen"] for p in pairs], dtype=torch.float64)
    ref_l = torch.tensor([p["ref_rejected"] for p in pairs], dtype=torch.float64)
    if kind == "dpo":
        delta = (torch.stack([x.sum() for x in w]) - ref_w) - (torch.stack([x.sum() for x in l]) - ref_l)
        return -torch.nn.functional.logsigmoid(BETA[kind] * delta).mean()
    n_w, n_l = torch.tensor([len(x) for x in w]), torch.tensor([len(x) for x in l])
    delta = (mean_w - ref_w / n_w) - (mean_l - ref_l / n_l)
    return ((delta - 1 / (2 * BETA[kind])) ** 2).mean()


def adapter(model):
    """The trained tensors under the names of PEFT's file."""
    return {n.replace(".default.", "."): p for n, p in model.named_parameters() if p.requires_grad}


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in adapter(model).items()}


def loss_of(kind, model, examples, pairs):
    return sft(model, examples) if kind == "sft" else preference(kind, model, pairs)


def away(got, want):
    """Mean over the tensors of ‖got − want‖ / ‖want‖."""
    return sum(float((g.double() - w).norm() / w.norm()) for g, w in zip(got, want, strict=True)) / len(want)


def bf16_errors(model, examples, pairs, answers, grads):
    """How far PyTorch's ways to compute in bf16 are from float64: of the log-probabilities
    of all answers, and of each loss's gradients."""
    low = copy.deepcopy(model).to(torch.bfloat16)
    for name, m in model.named_modules():
        if hasattr(m, "inv_freq"):  # stays float32 where transformers opens a model in bf16
            low.get_submodule(name).inv_freq = m.inv_freq.float()
    errors = {}
    with their_norms():
        for way, m, context in (
            ("bfloat16", low, contextlib.nullcontext),
            ("autocast", copy.deepcopy(model).float(), functools.partial(torch.autocast, "cpu", torch.bfloat16)),
        ):
            with torch.no_grad(), context():
                got = torch.cat([logps(m, e["prompt"], e["answer"]) for e in examples])
            errors[way] = {"logprobs": away([got], [answers])}
            for kind, want in grads.items():
                with context():
                    loss = loss_of(kind, m, examples, pairs)
                mine = gradients(m, loss)
                errors[way][kind] = away(list(mine.values()), [want[n] for n in mine])
    return errors


def ten_steps(s, model, kind, examples, pairs):
    units, batch = examples if kind == "sft" else pairs, s["batch"]
    optimizer = torch.optim.AdamW(adapter(model).values(), lr=s["rate"], betas=(0.9, 0.999), eps=1e-8, weight_decay=s["decay"])
    schedule = transformers.get_cosine_schedule_with_warmup(optimizer, s["warmup"], s["total"])
    losses, norms = [], []
    for step in range(s["steps"]):
        part = slice(step * batch % len(units), step * batch % len(units) + batch)
        loss = loss_of(kind, model, examples[part], pairs[part])
        model.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(adapter(model).values(), s["clip"])))
        losses.append(float(loss))
        optimizer.step()
        schedule.step()
    return dict(s, losses=losses, norms=norms)


def dequantised(m):
    """What the four bits stand for, by the default kernel, as in read.py."""
    state = m.weight.quant_state
    scales = bitsandbytes.functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
    default = torch._C.DispatchKeySet(torch._C.DispatchKey.CompositeExplicitAutograd)
    return torch.ops.bitsandbytes.dequantize_4bit.default.redispatch(
        default, m.weight.data, scales, state.blocksize, state.quant_type, state.shape, state.dtype)


def quantised(base, to):
    """Writes the model with its linear maps in four bits; returns one of what they stand for."""
    cls, settings = type(base), transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16)
    with tempfile.TemporaryDirectory() as plain:
        base.save_pretrained(plain)
        model = cls.from_pretrained(plain, quantization_config=settings, dtype=base.dtype, device_map="cpu")
        base = cls.from_pretrained(plain, attn_implementation="sdpa", dtype=base.dtype)
    model.save_pretrained(to)
    with torch.no_grad():
        for name, m in model.named_modules():
            if isinstance(m, bitsandbytes.nn.Linear4bit):
                base.get_submodule(name).weight.copy_(dequantised(m))
    return base


def nearest_scales(x):
    """quantize_blockwise as the default and CUDA kernels compute it: the CPU library looks
    values up in a table and misses the nearest of small ones."""
    code = bitsandbytes.functional.create_dynamic_map()
    default = torch._C.DispatchKeySet(torch._C.DispatchKey.CompositeExplicitAutograd)
    codes, absmax = torch.ops.bitsandbytes.quantize_blockwise.default.redispatch(default, x, code, 256)
    return codes, bitsandbytes.functional.QuantState(absmax=absmax, code=code, blocksize=256, dtype=x.dtype)


def matrices(to):
    """What bitsandbytes makes of matrices of awkward sizes and values."""
    rng, f, tensors = torch.Generator().manual_seed(4), bitsandbytes.functional, {}
    book = f.get_4bit_type("nf4", device="cpu")
    for name, shape, dtype in (
        ("even", (64, 192), torch.bfloat16), ("ragged", (37, 40), torch.float16), ("odd", (7, 9), torch.float32),
        ("long", (600, 64), torch.float32), ("bounds", (15, 64), torch.float32), ("zeros", (4, 64), torch.bfloat16),
    ):
        w = (0.02 * torch.randn(shape, generator=rng)).to(dtype)
        if name == "long":
            w[5] *= 100  # scales far from their mean
        if name == "bounds":  # blocks whose largest is 1, and values on the mid-points
            w[:, 0], w[:, 1:16] = 1, ((book[1:] + book[:-1]) / 2)
        if name == "zeros":
            w[1:3] = 0
        codes, state = f.quantize_4bit(w, blocksize=64, quant_type="nf4")
        state.offset = state.absmax.mean()
        state.absmax, state.state2 = nearest_scales(state.absmax - state.offset)
        state.nested = True
        tensors[name] = w
        tensors[name + ".dequantised"] = f.dequantize_4bit(codes, state)
        tensors[name + ".weight"] = codes
        tensors |= {f"{name}.weight.{key}": t for key, t in state.as_dict(packed=True).items()}
    to.mkdir(parents=True, exist_ok=True)
    save_file({n: t.contiguous() for n, t in tensors.items()}, to / "nf4.safetensors", {"made_by": "golden.py", "bitsandbytes": bitsandbytes.__version__})


def make(name, to):
    cls, config, dtype, shard = CASES[name]
    rng = torch.Generator().manual_seed(sum(name.encode()) + SEEDS.get(name, 0))
    shutil.rmtree(to, ignore_errors=True)
    base = cls(config)
    randomize(base, rng)
    base.to(dtype)
    if name == "qlora":
        base = quantised(base, to).double().eval()
    else:
        base.save_pretrained(to, max_shard_size=shard)
        base = cls.from_pretrained(to, attn_implementation="sdpa", dtype=dtype).double().eval()

    examples = [{"prompt": draw(rng, n), "answer": draw(rng, m)} for n, m in ((7, 5), (3, 9), (12, 2), (1, 4))]
    pairs = [{"prompt": draw(rng, n), "chosen": draw(rng, w), "rejected": draw(rng, l)} for n, w, l in ((5, 4, 6), (9, 2, 2), (2, 7, 3))]
    tensors = {}
    with torch.no_grad():
        first = examples[0]
        ids = torch.tensor([first["prompt"] + first["answer"]])
        tensors["base.logprobs"] = base(ids).logits[0].log_softmax(-1)
        for i, e in enumerate(examples):
            tensors[f"base.answer.{i}"] = logps(base, e["prompt"], e["answer"])
        for p in pairs:  # of the policy that the adapter starts from: the base
            p["ref_chosen"] = float(logps(base, p["prompt"], p["chosen"]).sum())
            p["ref_rejected"] = float(logps(base, p["prompt"], p["rejected"]).sum())

    model = peft.get_peft_model(base, peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for n, p in adapter(model).items():
            p.copy_((0.2 * torch.randn(p.shape, generator=rng, dtype=torch.float64)).float())
    model.save_pretrained(to, save_embedding_layers=False)
    lora = to / "adapter_model.safetensors"  # float64 by now, which nobody has
    save_file({n: t.float() for n, t in load_file(lora).items()}, lora)
    settings = json.loads((to / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = None  # a folder of the maker's machine
    settings["target_modules"] = sorted(settings["target_modules"])  # a set there
    (to / "adapter_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    for extra in ("README.md", "generation_config.json"):
        (to / extra).unlink(missing_ok=True)

    losses, grads = {}, {}
    with torch.no_grad():
        for i, e in enumerate(examples):
            tensors[f"adapted.answer.{i}"] = logps(model, e["prompt"], e["answer"])
    for kind in ("sft", *BETA):
        loss = loss_of(kind, model, examples, pairs)
        losses[kind], grads[kind] = float(loss), gradients(model, loss)
        tensors |= {f"{kind}.grad.{n}": g for n, g in grads[kind].items()}
    answers = torch.cat([tensors[f"adapted.answer.{i}"] for i in range(len(examples))])
    bf16 = bf16_errors(model, examples, pairs, answers, grads)
    fresh = copy.deepcopy(model)
    steps = ten_steps(STEPS, model, "sft", examples, pairs)
    tensors |= {f"steps.{n}": p.detach() for n, p in adapter(model).items()}
    simpo_steps = ten_steps(SIMPO_STEPS, fresh, "simpo", examples, pairs)
    tensors |= {f"simpo.steps.{n}": p.detach() for n, p in adapter(fresh).items()}

    save_file({n: t.float().contiguous() for n, t in tensors.items()}, to / "golden.safetensors")
    golden = dict(
        made_by="golden.py", versions={m.__name__: m.__version__ for m in (torch, transformers, peft, trl, bitsandbytes)},
        examples=examples, pairs=pairs, beta=BETA, gamma=GAMMA, losses=losses, steps=steps, simpo_steps=simpo_steps, bf16=bf16,
    )
    for file in to.iterdir():
        file.chmod(0o644)
    (to / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    engine = pathlib.Path(sys.argv[1])
    matrices(engine / "model" / "nf4" / "testdata")
    for case in sys.argv[2:] or CASES:
        make(case, engine / "policytest" / "testdata" / case)
        print(case)
