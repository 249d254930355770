"""Compares a GGUF file in eight bits with what llama.cpp makes of the plain one.

    python int8.py PLAIN INT8

Prints how many matrices INT8 has in Q8_0, and how many of them differ in a byte from
llama.cpp's own Q8_0 of PLAIN.
"""

import ctypes
import json
import sys

import gguf
import llama_cpp


@llama_cpp.llama_log_callback
def silent(*_):
    pass


llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))

plain, ours = sys.argv[1:]
theirs = plain + ".q8_0"
params = llama_cpp.llama_model_quantize_default_params()
params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
if llama_cpp.llama_model_quantize(plain.encode(), theirs.encode(), ctypes.byref(params)):
    raise SystemExit("llama.cpp does not quantise " + plain)
ours, theirs = ({t.name: t for t in gguf.GGUFReader(f).tensors} for f in (ours, theirs))
matrices = [n for n, t in ours.items() if t.tensor_type == gguf.GGMLQuantizationType.Q8_0]
different = [n for n in matrices if theirs[n].tensor_type != ours[n].tensor_type or bytes(theirs[n].data) != bytes(ours[n].data)]
print(json.dumps({"matrices": len(matrices), "different": len(different)}))
