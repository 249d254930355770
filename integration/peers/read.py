"""Reads models and adapters that the engine wrote, with transformers and PEFT.

    python read.py FOLDER

FOLDER holds base/, adapter/ and merged/, and asks.json: a list of {"prompt", "answer"} in
token IDs. Prints {"base": [[...]], "adapter": ..., "merged": ...}: the log-probability of
each token of each answer, in float32.
"""

import json
import pathlib
import sys

import peft
import torch
import transformers


def logps(model, prompt, answer):
    with torch.no_grad():
        out = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return out.gather(1, torch.tensor(answer)[:, None])[:, 0].tolist()


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


folder = pathlib.Path(sys.argv[1])
asks = json.loads((folder / "asks.json").read_text())
models = {
    "base": load(folder / "base"),
    "merged": load(folder / "merged"),
    "adapter": peft.PeftModel.from_pretrained(load(folder / "base"), folder / "adapter").eval(),
}
print(json.dumps({name: [logps(m, a["prompt"], a["answer"]) for a in asks] for name, m in models.items()}))
