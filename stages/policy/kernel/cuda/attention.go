package cuda

import (
	"errors"
	"fmt"
)

// Heads are the sizes of attention: H query heads, G key and value heads (H is a multiple of G), and D
// values in each, up to 128.
type Heads struct{ H, G, D int }

// Packed is a packed batch on the device, as kernel.Device.Attention describes it. Cu (Segments + 1),
// Mask (2 · Segments) and Selected (Segments) are int32; Mask and Selected are 0 for none.
type Packed struct {
	Cu, Mask, Selected Address
	Segments           int
	Rows               int // of k and v: the last entry of Cu
	Queries            int // of q and out: the selected rows
}

// Cache is where keys and values are: k and v (slots, G, D) in float32 or, with BF16, in bfloat16, for which
// D is a multiple of 8.
type Cache struct {
	K, V Address
	BF16 bool
}

// sizes are the values of D that kernels are compiled for; a smaller D is padded with zeros.
var sizes = []int{32, 64, 128}

const (
	queryRows = 64  // of a block of attention
	pathChunk = 256 // slots of a path in a block
)

func sized(prefixes ...string) (names []string) {
	for _, p := range prefixes {
		for _, s := range sizes {
			names = append(names, fmt.Sprintf("%s_%d", p, s))
		}
	}
	return names
}

func attentionKernels() []string {
	return append(sized("attention_f32", "attention_bf16", "attention_dq", "attention_dkv"), "attention_delta")
}

// sizedNames are the names of kernels by prefix and size: a launch must not make a string.
var sizedNames = func() map[string]map[int]string {
	all := map[string]map[int]string{}
	for _, p := range []string{"attention_f32", "attention_bf16", "attention_dq", "attention_dkv",
		"paths_f32", "paths_bf16"} {
		all[p] = map[int]string{}
		for i, name := range sized(p) {
			all[p][sizes[i]] = name
		}
	}
	return all
}()

// kernel gives the name for the size of heads.
func (h Heads) kernel(prefix string) (string, error) {
	if h.G < 1 || h.H < 1 || h.H%h.G != 0 {
		return "", fmt.Errorf("cuda: %d query heads for %d key heads", h.H, h.G)
	}
	for _, s := range sizes {
		if h.D >= 1 && h.D <= s {
			return sizedNames[prefix][s], nil
		}
	}
	return "", fmt.Errorf("cuda: heads of %d values: up to %d are supported", h.D, sizes[len(sizes)-1])
}

// kernel chooses between the kernels for a cache in float32 and in bf16.
func (c Cache) kernel(f32, bf16 string, h Heads) (string, error) {
	if !c.BF16 {
		return h.kernel(f32)
	}
	if h.D%8 != 0 {
		return "", errors.New("cuda: a cache in bf16 needs heads of a multiple of 8 values")
	}
	return h.kernel(bf16)
}

// tiles is the most tiles of rows that the segments can have; a block for which there is none ends at once.
func (p Packed) tiles(rows, parts int) int { return ceil(rows, queryRows) + parts*p.Segments }

// Attention is that of kernel.Device: q, out (Queries, H, D), lse (Queries, H) float32. path, if it is not
// 0, says for each row in which slot of the cache it is: with one segment and the last rows selected this is
// AttendSuffix, with the same bits.
func (d *Launcher) Attention(out, lse, q Address, c Cache, p Packed, path Address, h Heads) error {
	name, err := c.kernel("attention_f32", "attention_bf16", h)
	if err != nil {
		return err
	}
	return d.launch(name, Dim{p.tiles(p.Queries, 2), h.H, 1}, Dim{128, 1, 1}, 0, uint64(out), uint64(lse), uint64(q),
		uint64(c.K), uint64(c.V), uint64(p.Cu), uint64(p.Mask), uint64(p.Selected), uint64(path), Int(p.Segments),
		Int(h.H), Int(h.G), Int(h.D))
}

// Gradients are the results of AttentionBackward: DQ (Queries, H, D), DK and DV (Rows, G, D).
type Gradients struct{ DQ, DK, DV Address }

// Forward are inputs and results of Attention that its gradient needs, all float32.
type Forward struct{ Out, LSE, Q, K, V Address }

// AttentionBackward is that of kernel.Device. It overwrites the gradients; dout has the selected rows.
func (d *Launcher) AttentionBackward(grad Gradients, dout Address, f Forward, p Packed, h Heads) error {
	dq, err := h.kernel("attention_dq")
	if err != nil {
		return err
	}
	dkv, _ := h.kernel("attention_dkv")
	d.mu.Lock()
	defer d.mu.Unlock()
	n := p.Queries * h.H
	delta, err := d.need(int64(4 * max(1, n)))
	if err != nil {
		return err
	}
	err = d.launchLocked("attention_delta", Dim{ceil(n, 4), 1, 1}, Dim{128, 1, 1}, 0, uint64(delta), uint64(dout),
		uint64(f.Out), Int(h.D), Int(n))
	if err != nil {
		return err
	}
	block := Dim{128, 1, 1}
	err = d.launchLocked(dq, Dim{p.tiles(p.Queries, 2), h.H, 1}, block, 0, uint64(grad.DQ), uint64(dout),
		uint64(delta), uint64(f.LSE), uint64(f.Q), uint64(f.K), uint64(f.V), uint64(p.Cu), uint64(p.Mask),
		uint64(p.Selected), Int(p.Segments), Int(h.H), Int(h.G), Int(h.D))
	if err != nil {
		return err
	}
	return d.launchLocked(dkv, Dim{p.tiles(p.Rows, 1), h.G, 1}, block, 0, uint64(grad.DK), uint64(grad.DV),
		uint64(dout), uint64(delta), uint64(f.LSE), uint64(f.Q), uint64(f.K), uint64(f.V), uint64(p.Cu), uint64(p.Mask),
		uint64(p.Selected), Int(p.Segments), Int(h.H), Int(h.G), Int(h.D))
}

// Paths are the paths of rows on the device: path r is Slots[Begins[r]] to Slots[Begins[r+1]−1]; Begins
// (Rows + 1) and Slots are int32. Longest is the length of the longest path.
type Paths struct {
	Slots, Begins Address
	Rows, Longest int
}

// AttendPaths is that of kernel.Device: row r of q (R, H, D) attends to the slots of its path; out (R, H, D).
// An empty path gives zeros.
func (d *Launcher) AttendPaths(out, q Address, c Cache, p Paths, h Heads) error {
	name, err := c.kernel("paths_f32", "paths_bf16", h)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	chunks := ceil(p.Longest, pathChunk)
	n := int64(p.Rows * h.H * chunks)
	parts, err := d.need(max(1, 4*n*int64(h.D+2)))
	if err != nil {
		return err
	}
	tops := parts + Address(4*n*int64(h.D))
	sixteens := ceil(h.H/h.G, 16)
	err = d.launchLocked(name, Dim{chunks, h.G * sixteens, p.Rows}, Dim{128, 1, 1}, 0, uint64(parts), uint64(tops),
		uint64(q), uint64(c.K), uint64(c.V), uint64(p.Slots), uint64(p.Begins), Int(h.H), Int(h.G), Int(h.D))
	if err != nil {
		return err
	}
	return d.launchLocked("paths_combine", Dim{h.H, p.Rows, 1}, Dim{128, 1, 1}, 0, uint64(out), uint64(parts),
		uint64(tops), uint64(p.Begins), Int(h.H), Int(h.D), Int(chunks))
}
