package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"itool/stages/policy/kernel"
)

// Rows writes the rows from … to−1 of t, of which each is the innermost dimension, to dst in float32. The
// values are those of Python's gguf, bit by bit: every product and sum is rounded to float32 where that
// rounds it. A type that is not supported is an error.
func (f *File) Rows(t *Tensor, dst []float32, from, to int) error {
	if !t.Type.supported() {
		return notSupported(t)
	}
	raw, err := f.raw(t, nil, from, to)
	if err != nil {
		return err
	}
	widen(dst, raw, t.Type)
	return nil
}

func notSupported(t *Tensor) error {
	return fmt.Errorf("gguf: tensor %q is in %s, which is not supported: take a file in F16, BF16, Q8_0, Q6_K, "+
		"Q5_K_M, Q4_K_M, Q4_0, Q4_1, Q5_0 or Q5_1", t.Name, t.Type)
}

// raw reads rows as the file has them, into buf if that is large enough.
func (f *File) raw(t *Tensor, buf []byte, from, to int) ([]byte, error) {
	n := t.rowBytes()
	if size := (to - from) * n; cap(buf) >= size {
		buf = buf[:size]
	} else {
		buf = make([]byte, size)
	}
	if _, err := f.r.ReadAt(buf, t.at+int64(from)*int64(n)); err != nil {
		return nil, fmt.Errorf("gguf: tensor %q: rows %d to %d: %w", t.Name, from, to-1, err)
	}
	return buf, nil
}

// widen converts whole blocks. A conversion float32(x * y) forbids the compiler to keep the product's
// other bits for a sum.
func widen(dst []float32, raw []byte, t Type) {
	l := layouts[t]
	switch t {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		return
	case F16:
		for i := range dst {
			dst[i] = half(raw[2*i:])
		}
		return
	case BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
		return
	}
	block := map[Type]func([]float32, []byte){
		Q4_0: q4_0, Q4_1: q4_1, Q5_0: q5_0, Q5_1: q5_1, Q8_0: q8_0, Q4_K: q4K, Q5_K: q5K, Q6_K: q6K,
	}[t]
	for ; len(dst) > 0; dst, raw = dst[l.values:], raw[l.bytes:] {
		block(dst[:l.values], raw[:l.bytes])
	}
}

func half(b []byte) float32 { return kernel.FromHalf(binary.LittleEndian.Uint16(b)) }

// q4_0: scale, 16 bytes of two codes: the low halves first, then the high ones; less 8.
func q4_0(dst []float32, b []byte) {
	d := half(b)
	for i, c := range b[2:18] {
		dst[i] = d * float32(int(c&15)-8)
		dst[i+16] = d * float32(int(c>>4)-8)
	}
}

// q4_1: scale, minimum, 16 bytes of two codes.
func q4_1(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	for i, c := range b[4:20] {
		dst[i] = float32(d*float32(c&15)) + m
		dst[i+16] = float32(d*float32(c>>4)) + m
	}
}

// q5_0: scale, the fifth bits of all 32 codes, 16 bytes of two codes; less 16.
func q5_0(dst []float32, b []byte) {
	d, high := half(b), binary.LittleEndian.Uint32(b[2:])
	for i, c := range b[6:22] {
		dst[i] = d * float32(int(uint32(c&15)|high>>i&1<<4)-16)
		dst[i+16] = d * float32(int(uint32(c>>4)|high>>(i+16)&1<<4)-16)
	}
}

// q5_1: scale, minimum, the fifth bits, 16 bytes of two codes.
func q5_1(dst []float32, b []byte) {
	d, m, high := half(b), half(b[2:]), binary.LittleEndian.Uint32(b[4:])
	for i, c := range b[8:24] {
		dst[i] = float32(d*float32(uint32(c&15)|high>>i&1<<4)) + m
		dst[i+16] = float32(d*float32(uint32(c>>4)|high>>(i+16)&1<<4)) + m
	}
}

// q8_0: scale, 32 codes.
func q8_0(dst []float32, b []byte) {
	d := half(b)
	for i, c := range b[2:34] {
		dst[i] = d * float32(int8(c))
	}
}

// scales6 unpacks the scales and minima of the eight groups of a K block: six bits each in twelve bytes.
// Those of the first four groups are the low six bits of a byte; of the others the low four bits are in
// the last four bytes, and the high two are the high two of the first eight.
func scales6(b []byte) (scales, minima [8]byte) {
	for i := range 4 {
		scales[i], minima[i] = b[i]&63, b[i+4]&63
		scales[i+4] = b[i+8]&15 | b[i]>>6<<4
		minima[i+4] = b[i+8]>>4 | b[i+4]>>6<<4
	}
	return scales, minima
}

// q4K: scale of the scales, scale of the minima, scales6, then four times 32 bytes, each with a code of
// one group of 32 values and one of the next.
func q4K(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	scales, minima := scales6(b[4:16])
	for g := range 8 {
		scale, low := d*float32(scales[g]), m*float32(minima[g])
		for i, c := range b[16+g/2*32 : 48+g/2*32] {
			dst[32*g+i] = float32(scale*float32(c>>(g%2*4)&15)) - low
		}
	}
}

// q5K is q4K with a fifth bit: bit g of byte i for value i of group g.
func q5K(dst []float32, b []byte) {
	d, m := half(b), half(b[2:])
	scales, minima := scales6(b[4:16])
	high := b[16:48]
	for g := range 8 {
		scale, low := d*float32(scales[g]), m*float32(minima[g])
		for i, c := range b[48+g/2*32 : 80+g/2*32] {
			dst[32*g+i] = float32(scale*float32(c>>(g%2*4)&15|high[i]>>g&1<<4)) - low
		}
	}
}

// q6K: the low four bits of 256 codes, their high two, a scale of eight bits for every 16 values, and the
// scale of the scales; less 32. Two halves of 128 values; in each, 64 bytes hold the low bits of values 0
// to 63 and 64 to 127, and 32 bytes the high bits of four groups of 32.
func q6K(dst []float32, b []byte) {
	d := half(b[208:])
	for h := range 2 {
		low, high, scales := b[64*h:], b[128+32*h:], b[192+8*h:]
		for i := range 128 {
			code := low[i%64]>>(i/64*4)&15 | high[i%32]>>(i/32*2)&3<<4
			scale := d * float32(int8(scales[i/16]))
			dst[128*h+i] = scale * float32(int(code)-32)
		}
	}
}
