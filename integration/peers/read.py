"""Reads models and adapters that the engine wrote, with transformers and PEFT.

    python read.py FOLDER

FOLDER holds base/, adapter/, merged/, half/ and quantised/, and asks.json: a list of {"prompt", "answer"} in
token IDs. Prints {"base": [[...]], "adapter": ..., ...}: the log-probability of
each token of each answer, in float32.
"""

import json
import pathlib
import sys

import bitsandbytes
import peft
import torch
import transformers


def logps(model, prompt, answer):
    with torch.no_grad():
        out = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return out.gather(1, torch.tensor(answer)[:, None])[:, 0].tolist()


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def dequantised(m):
    """What the four bits stand for, by the default kernel. The library for CPUs with AVX-512 takes the scale of
    the first block for all of a matrix whose rows are shorter than a block (bitsandbytes 0.50.2)."""
    state = m.weight.quant_state
    scales = bitsandbytes.functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
    default = torch._C.DispatchKeySet(torch._C.DispatchKey.CompositeExplicitAutograd)
    return torch.ops.bitsandbytes.dequantize_4bit.default.redispatch(
        default, m.weight.data, scales, state.blocksize, state.quant_type, state.shape, state.dtype)


def load_quantised(folder):
    """What the four bits stand for, in float32: transformers would compute in bfloat16."""
    model = load(folder)
    for name, m in list(model.named_modules()):
        if isinstance(m, bitsandbytes.nn.Linear4bit):
            plain = torch.nn.Linear(m.in_features, m.out_features, bias=m.bias is not None)
            plain.weight = torch.nn.Parameter(dequantised(m))
            plain.bias = m.bias
            model.set_submodule(name, plain)
    return torch.nn.Module.float(model)


folder = pathlib.Path(sys.argv[1])
asks = json.loads((folder / "asks.json").read_text())
models = {
    "base": load(folder / "base"),
    "merged": load(folder / "merged"),
    "half": load(folder / "half"),
    "quantised": load_quantised(folder / "quantised"),
    "adapter": peft.PeftModel.from_pretrained(load(folder / "base"), folder / "adapter").eval(),
}
print(json.dumps({name: [logps(m, a["prompt"], a["answer"]) for a in asks] for name, m in models.items()}))
