"""What tokenizers, transformers and PEFT compute with a pretrained model that `itool import` wrote.

    python real.py FOLDER

FOLDER holds asks.json: {"base": folder of the model, "texts": [...], "chats": [[message, ...], ...],
"asks": [{"prompt", "answer"}, ...] in token IDs, "count": tokens to draw, "steps": {loss: settings},
"examples": [...], "pairs": [...]}. What is absent is not computed. Everything is in float32. Prints
{"cut": token IDs of the texts, "chats": IDs of the conversations up to the next answer,
"logps": log-probabilities of the answers' tokens, "greedy": what follows the answers,
"steps": {loss: losses and gradient norms, ten_steps of golden.py}}.

With steps it writes FOLDER/adapter, a new LoRA of PEFT, and for each loss FOLDER/LOSS.safetensors, that
adapter after its steps.
"""

import copy
import json
import pathlib
import sys

import torch
import transformers


def logps(model, prompt, answer):
    with torch.no_grad():
        out = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return out.gather(1, torch.tensor(answer)[:, None])[:, 0].tolist()


def greedy(model, prompt, count):
    """The likeliest tokens after the prompt; a token that ends the turn is one of them, and does not end it."""
    settings = transformers.GenerationConfig(
        max_new_tokens=count, do_sample=False, eos_token_id=None, pad_token_id=0)
    model.generation_config = settings
    mask = torch.ones(1, len(prompt))
    with torch.no_grad():
        out = model.generate(torch.tensor([prompt]), attention_mask=mask, generation_config=settings)
    return out[0, len(prompt):].tolist()


def train(base, folder, asks):
    """The same steps as golden.py takes on its tiny models."""
    import golden
    import peft
    from safetensors.torch import save_file

    torch.manual_seed(1)
    lora = peft.LoraConfig(
        r=asks["rank"], lora_alpha=2 * asks["rank"], target_modules=golden.TARGETS, task_type="CAUSAL_LM")
    fresh = peft.get_peft_model(base, lora)
    fresh.save_pretrained(folder / "adapter", save_embedding_layers=False)
    steps = {}
    for loss, settings in asks["steps"].items():
        model = copy.deepcopy(fresh)
        done = golden.ten_steps(settings, model, loss, asks["examples"], asks["pairs"])
        tensors = {n: p.detach().contiguous() for n, p in golden.adapter(model).items()}
        save_file(tensors, folder / f"{loss}.safetensors")
        steps[loss] = dict(
            losses=done["losses"], norms=done["norms"], beta=golden.BETA.get(loss, 0), gamma=golden.GAMMA)
    return steps


folder = pathlib.Path(sys.argv[1])
asks = json.loads((folder / "asks.json").read_text())
tokenizer = transformers.AutoTokenizer.from_pretrained(asks["base"])
said = {
    "cut": [tokenizer(t, add_special_tokens=False).input_ids for t in asks.get("texts", [])],
    "chats": [tokenizer.apply_chat_template(c, add_generation_prompt=True, return_dict=True)["input_ids"]
              for c in asks.get("chats", [])],
}
if "asks" in asks or "steps" in asks:
    model = transformers.AutoModelForCausalLM.from_pretrained(asks["base"], dtype=torch.float32).eval()
    said["logps"] = [logps(model, a["prompt"], a["answer"]) for a in asks.get("asks", [])]
    said["greedy"] = [greedy(model, a["prompt"] + a["answer"], asks["count"]) for a in asks.get("asks", [])]
    if "steps" in asks:
        said["steps"] = train(model, folder, asks)
print(json.dumps(said))
