"""Prints the token IDs that Hugging Face tokenizers gives to texts.

    python tokens.py tokenizer.json texts.json      (a list of texts)
"""

import json
import sys

import tokenizers

tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
print(json.dumps([tokenizer.encode(t, add_special_tokens=False).ids for t in json.load(open(sys.argv[2]))]))
