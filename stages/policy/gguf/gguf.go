// Package gguf reads and writes models as one file in the format of llama.cpp and the programs based on
// it: GGUF, with weights, tokenizer and chat template.
//
// Write makes a file of a policy. Read opens a file of any writer; Checkpoint and Tokenizer say what it
// holds in the terms of a Hugging Face folder, from which the engine opens a policy. The files that Read
// gets come from anywhere: it checks every length before it allocates, and nothing but the header is in
// memory. The package knows no folder and no path: ops/importer writes the folder.
//
//	err := gguf.Write(file, p, gguf.Options{})
//
//	f, err := gguf.Read(file, size)
//	c, err := f.Checkpoint()
//	err = c.Weights[0].Stream(w, safetensors.BF16)
//
// One difference between the two formats remains. Qwen's tokenizers normalise a text to composed form
// (NFC) first, llama.cpp does not, and GGUF has no field for it. So llama.cpp gives a text in decomposed
// form other tokens; Tokenizer switches NFC on for Qwen's pattern, as Qwen's own files do.
//
// Source: the specification, docs/gguf.md of ggml; the blocks are those of ggml-common.h.
package gguf

import "fmt"

// The format's types of values in the header.
const (
	typeUint8   = 0
	typeInt8    = 1
	typeUint16  = 2
	typeInt16   = 3
	typeUint32  = 4
	typeInt32   = 5
	typeFloat32 = 6
	typeBool    = 7
	typeString  = 8
	typeArray   = 9
	typeUint64  = 10
	typeInt64   = 11
	typeFloat64 = 12
)

// alignment is that of the files that Write makes, and of those that name none, in bytes. Every tensor
// begins at a multiple.
const alignment = 32

// Type is the type of a tensor's values.
type Type uint32

// The types that Checkpoint supports. A quantized value is a code times the scale of its block, in the
// types _1 and K plus a minimum.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q4_1 Type = 3
	Q5_0 Type = 6
	Q5_1 Type = 7
	Q8_0 Type = 8
	Q4_K Type = 12
	Q5_K Type = 13
	Q6_K Type = 14
	BF16 Type = 30
)

// layout is how a type stores a row: in blocks of that many values and bytes.
type layout struct {
	name          string
	values, bytes int
}

// layouts are all types of the format, also those that are not supported: a file is checked as a whole.
var layouts = map[Type]layout{
	F32: {"F32", 1, 4}, F16: {"F16", 1, 2}, BF16: {"BF16", 1, 2},
	Q4_0: {"Q4_0", 32, 18}, Q4_1: {"Q4_1", 32, 20}, Q5_0: {"Q5_0", 32, 22}, Q5_1: {"Q5_1", 32, 24},
	Q8_0: {"Q8_0", 32, 34}, 9: {"Q8_1", 32, 36},
	10: {"Q2_K", 256, 84}, 11: {"Q3_K", 256, 110}, Q4_K: {"Q4_K", 256, 144}, Q5_K: {"Q5_K", 256, 176},
	Q6_K: {"Q6_K", 256, 210}, 15: {"Q8_K", 256, 292},
	16: {"IQ2_XXS", 256, 66}, 17: {"IQ2_XS", 256, 74}, 18: {"IQ3_XXS", 256, 98}, 19: {"IQ1_S", 256, 50},
	20: {"IQ4_NL", 32, 18}, 21: {"IQ3_S", 256, 110}, 22: {"IQ2_S", 256, 82}, 23: {"IQ4_XS", 256, 136},
	24: {"I8", 1, 1}, 25: {"I16", 1, 2}, 26: {"I32", 1, 4}, 27: {"I64", 1, 8}, 28: {"F64", 1, 8},
	29: {"IQ1_M", 256, 56}, 34: {"TQ1_0", 256, 54}, 35: {"TQ2_0", 256, 66}, 39: {"MXFP4", 32, 17},
}

// String is the name that llama.cpp gives the type.
func (t Type) String() string {
	if l, ok := layouts[t]; ok {
		return l.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Quantized tells whether the type stores codes instead of numbers.
func (t Type) Quantized() bool { return t != F32 && t != F16 && t != BF16 }

// supported tells whether Rows reads the type.
func (t Type) supported() bool {
	switch t {
	case F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K:
		return true
	}
	return false
}
