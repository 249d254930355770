"""Training of a LoRA adapter with PyTorch and PEFT: token ids in, an adapter of PEFT out.

A sequence is a prompt and an answer, as ids of the records. The loss is over the answer's positions, and
every sequence runs alone, so no padding and no neighbour changes it. Steps, schedule, clipping and AdamW are
those of stages/policy/train. With one number of threads the same items give the same bytes on one machine,
also after an interruption.
"""

import hashlib
import json
import math
import os
import random

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load as load_tensors, save as save_tensors
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BETAS, EPS, SHORT_PHASE = (0.9, 0.999), 1e-8, 20


class NotFinite(Exception):
    pass


def derive(seed, purpose, n=0):
    """A seed from another one, a purpose and a number, as stages.Seed derives it."""
    h = hashlib.sha256(seed.to_bytes(8, "little") + n.to_bytes(8, "little") + purpose.encode())
    return int.from_bytes(h.digest()[:8], "little")


class Policy:
    """A base model with an adapter that is trained."""

    def __init__(self, folder, device, seed, rank, alpha, targets=(), recompute=False):
        torch.use_deterministic_algorithms(True, warn_only=True)
        transformers_logging.disable_progress_bar()
        base = os.path.join(folder, ".base")  # without the adapter, which transformers would load by itself
        os.makedirs(base, exist_ok=True)
        for name in os.listdir(folder):
            if name not in ADAPTER_FILES and not name.startswith("."):
                link = os.path.join(base, name)
                if not os.path.lexists(link):
                    os.symlink(os.path.join("..", name), link)
        cpu = torch.device(device).type == "cpu"
        model = AutoModelForCausalLM.from_pretrained(
            base, dtype=torch.float32 if cpu else torch.bfloat16, local_files_only=True)
        if os.path.exists(os.path.join(folder, ADAPTER_FILES[0])):
            self.model = PeftModel.from_pretrained(model, folder, is_trainable=True)
            with open(os.path.join(folder, ADAPTER_FILES[0])) as f:
                self.config = json.load(f)
        else:
            config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets) or LINEARS, lora_dropout=0.0,
                                bias="none", task_type="CAUSAL_LM")
            self.model = get_peft_model(model, config)
            self.config = {"base_model_name_or_path": "", "r": rank, "lora_alpha": alpha,
                           "target_modules": sorted(targets or LINEARS)}
            self._draw(seed)
        self.model.to(device).eval()  # no dropout
        if recompute:  # activations are computed again in the backward pass, which saves memory
            self.model.train()
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self.model.enable_input_require_grads()
        self.device = device
        self.names = [n for n, p in self.model.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in self.model.named_parameters() if p.requires_grad]

    def _draw(self, seed):
        """A new adapter: A uniform within ±1/√fan_in, B zero, which changes nothing yet."""
        g = torch.Generator().manual_seed(seed & (1 << 63) - 1)
        for name, p in self.model.named_parameters():
            if "lora_A" in name:
                bound = 1 / math.sqrt(p.shape[1])
                p.data.copy_(torch.empty(p.shape).uniform_(-bound, bound, generator=g))
            elif "lora_B" in name:
                p.data.zero_()

    def size(self):
        """Parameters of the embeddings and the linear layers, by which a rate is chosen."""
        n = self.model.get_input_embeddings().weight.numel()
        for name, p in self.model.named_parameters():
            if name.endswith("_proj.base_layer.weight") or name.endswith("_proj.weight"):
                n += p.numel()
        return n

    def logp(self, prompt, answer):
        """The log-probabilities of the answer's tokens behind the prompt, in nats. (len(answer))"""
        ids = torch.tensor([prompt + answer], device=self.device)
        keep = len(answer) + 1 if prompt else len(answer)
        logits = self.model(input_ids=ids, logits_to_keep=keep, use_cache=False).logits[0, :-1].float()
        targets = ids[0, -logits.shape[0]:]
        return torch.log_softmax(logits, -1).gather(-1, targets[:, None])[:, 0]

    @torch.no_grad()
    def score(self, prompt, answer):
        """The sum of logp."""
        return self.logp(prompt, answer).double().sum().item()

    def snapshot(self):
        return [p.detach().float().cpu().clone() for p in self.parameters]

    def set(self, values):
        with torch.no_grad():
            for p, v in zip(self.parameters, values):
                p.copy_(v)

    def files(self, values=None):
        """The adapter's two files, in one form: the same weights give the same bytes."""
        values = values or self.snapshot()
        tensors = {n.replace(".default.", "."): v.contiguous() for n, v in zip(self.names, values)}
        config = {
            "base_model_name_or_path": self.config.get("base_model_name_or_path") or "", "bias": "none",
            "fan_in_fan_out": False, "inference_mode": True, "init_lora_weights": True,
            "lora_alpha": self.config["lora_alpha"], "lora_dropout": 0.0, "peft_type": "LORA", "r": self.config["r"],
            "target_modules": sorted(self.config["target_modules"]), "task_type": "CAUSAL_LM",
            "use_dora": False, "use_rslora": bool(self.config.get("use_rslora")),
        }
        return {ADAPTER_FILES[0]: (json.dumps(config, indent=2, sort_keys=True) + "\n").encode(),
                ADAPTER_FILES[1]: save_tensors(tensors, metadata={"format": "pt"})}


def rate(size, at_small, at_large):
    """A learning rate by the size of a model, between 10 million and 8 billion parameters."""
    share = min(1, max(0, math.log(size / 1e7) / math.log(8e9 / 1e7)))
    return at_small * (at_large / at_small) ** share


def factor(step, total, warmup):
    """The share of the peak rate at a step: a rise, then half a cosine. Short phases have no rise."""
    up = 0 if total < SHORT_PHASE else math.ceil(total * warmup)
    if step < up:
        return step / up
    return max(0.0, 0.5 * (1 + math.cos(math.pi * (step - up) / max(1, total - up))))


def preference(kind, beta, gamma, sft_weight):
    """A loss of a pair from S_w, n_w, S_l, n_l and the reference's two sums: stages/policy/loss."""
    softplus = torch.nn.functional.softplus

    def log1mexp(a):
        return torch.log(-torch.expm1(torch.clamp(a, max=-3e-8)))

    def loss(sw, nw, sl, nl, ref_w, ref_l):
        aw, al = sw / nw, sl / nl
        if kind == "simpo":
            v = softplus(-(beta * (aw - al) - gamma))
        elif kind == "dpo":
            v = softplus(-beta * ((sw - ref_w) - (sl - ref_l)))
        elif kind == "ipo":
            v = ((sw - ref_w) / nw - (sl - ref_l) / nl - 1 / (2 * beta)) ** 2
        elif kind == "orpo":
            v = -aw + beta * softplus(-((aw - log1mexp(aw)) - (al - log1mexp(al))))
        else:
            raise ValueError(f"loss {kind!r}")
        return v - sft_weight * aw
    return loss


class Phase:
    """Examples (prompt, answer) or pairs (prompt, chosen, rejected, ref chosen, ref rejected), and how to learn."""

    def __init__(self, name, units, epochs, peak, batch_size, loss=None):
        self.name, self.units, self.epochs, self.peak, self.batch_size = name, units, epochs, peak, batch_size
        self.loss = loss  # of a pair; None: examples
        self.per_epoch = math.ceil(len(units) / batch_size)
        self.steps = epochs * self.per_epoch


class Trainer:
    """Steps through phases. State is what a checkpoint holds."""

    def __init__(self, policy, phases, seed, decay, clip, warmup_ratio):
        self.policy, self.phases, self.seed = policy, [p for p in phases if p.units], seed
        self.decay, self.clip, self.warmup_ratio = decay, clip, warmup_ratio
        self.phase = self.step = self.done = 0
        self.curve, self.best, self.notes = [], None, {}
        self._optimizer()

    def _optimizer(self):
        self.optimizer = torch.optim.AdamW(self.policy.parameters, lr=0.0, betas=BETAS, eps=EPS,
                                           weight_decay=self.decay, foreach=False)

    @property
    def total(self):
        return sum(p.steps for p in self.phases)

    def finished(self):
        return self.phase == len(self.phases)

    def batch(self, p):
        """The units of the next step: a new order for every epoch, from the seed."""
        epoch, at = divmod(self.step, p.per_epoch)
        order = list(range(len(p.units)))
        random.Random(f"{self.seed}-{self.phase}-{epoch}").shuffle(order)
        return [p.units[i] for i in order[at * p.batch_size:(at + 1) * p.batch_size]]

    def one(self, check=lambda: None):
        """Take one optimiser step and return its point of the curve."""
        p = self.phases[self.phase]
        units, pol = self.batch(p), self.policy
        point = {"step": self.done + 1, "phase": p.name, "loss": 0.0}
        if p.loss:
            point |= {"chosen": 0.0, "rejected": 0.0, "accuracy": 0.0}
        tokens = sum(len(u[1]) for u in units)
        for u in units:
            check()
            if p.loss:
                prompt, chosen, rejected, ref_w, ref_l = u
                sw, sl = pol.logp(prompt, chosen).sum(), pol.logp(prompt, rejected).sum()
                loss = p.loss(sw, len(chosen), sl, len(rejected), ref_w, ref_l) / len(units)
                aw, al = sw.item() / len(chosen), sl.item() / len(rejected)
                point["chosen"] += aw / len(units)
                point["rejected"] += al / len(units)
                point["accuracy"] += (aw > al) / len(units)
            else:
                loss = -pol.logp(*u).sum() / tokens
            if not torch.isfinite(loss):
                raise NotFinite(f"phase {p.name}: step {self.step}: the loss is {loss.item()}: lower the rate")
            loss.backward()
            point["loss"] += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(pol.parameters, self.clip or math.inf, foreach=False).item()
        if not math.isfinite(norm):
            raise NotFinite(f"phase {p.name}: step {self.step}: the gradient is not finite: lower the rate")
        point["rate"] = p.peak * factor(self.step, p.steps, self.warmup_ratio)
        point["norm"] = norm
        for g in self.optimizer.param_groups:
            g["lr"] = point["rate"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step, self.done = self.step + 1, self.done + 1
        self.curve.append(point)
        if self.step == p.steps:
            self.phase, self.step = self.phase + 1, 0
            self._optimizer()  # the next phase begins with moments at zero
        return point

    def mark_best(self):
        self.best = self.policy.snapshot()

    def save(self, fingerprint):
        """The files of a checkpoint. Tensors are safetensors: nothing in a store may be code."""
        tensors = {"weight." + n: v for n, v in zip(self.policy.names, self.policy.snapshot())}
        for n, p in zip(self.policy.names, self.policy.parameters):
            if state := self.optimizer.state.get(p):
                tensors["first." + n], tensors["second." + n] = state["exp_avg"].cpu(), state["exp_avg_sq"].cpu()
        for n, v in zip(self.policy.names, self.best or []):
            tensors["best." + n] = v
        state = {"fingerprint": fingerprint, "phase": self.phase, "step": self.step, "done": self.done,
                 "curve": self.curve, "notes": self.notes}
        return {"state.json": json.dumps(state).encode(),
                "state.safetensors": save_tensors({n: t.contiguous() for n, t in tensors.items()})}

    def restore(self, files, fingerprint):
        """Go on from a checkpoint; False: it is of another training."""
        state = json.loads(files["state.json"])
        if state["fingerprint"] != fingerprint:
            return False
        tensors = load_tensors(files["state.safetensors"])
        self.policy.set([tensors["weight." + n] for n in self.policy.names])
        self.phase, self.step, self.done = state["phase"], state["step"], state["done"]
        self.curve, self.notes = state["curve"], state["notes"]
        self._optimizer()
        for n, p in zip(self.policy.names, self.policy.parameters):
            if "first." + n in tensors:
                self.optimizer.state[p] = {
                    "step": torch.tensor(float(self.step)), "exp_avg": tensors["first." + n].to(p.device),
                    "exp_avg_sq": tensors["second." + n].to(p.device)}
        if "best." + self.policy.names[0] in tensors:
            self.best = [tensors["best." + n] for n in self.policy.names]
        return True
