package policy_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
)

// TestMappedWeights: a policy whose weights stay in the type of their file gives the same bits as one that
// packs them in float32. With an unmerged adapter the results agree up to the rounding of float32.
func TestMappedWeights(t *testing.T) {
	ctx := context.Background()
	for _, g := range policytest.Goldens(t) {
		types := []safetensors.Dtype{safetensors.BF16, safetensors.F16, safetensors.F32}
		for i, dtype := range append(types, types...) {
			adapter := i >= 3
			fsys := policytest.As(t, g.Folder(adapter), dtype)
			open := func(form model.Form) *policy.Policy {
				p, err := policy.Open(fsys, policy.Options{Form: form})
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			wide, mapped := open(model.Float32), open(model.Mapped)
			m := mapped.Model()
			l := &m.Layers[0].Down
			if l.Wrapped == nil || l.W != nil || m.Wrapped.Embed == nil || (l.Unmerged != nil) != adapter {
				t.Fatalf("%s: not in the type of the file: %+v", g.Name, l)
			}
			var seqs []policy.Sequence
			for _, e := range g.Examples {
				seqs = append(seqs, policy.Sequence{Prompt: e.Prompt, Answer: e.Answer})
			}
			want, err := wide.LogProbs(ctx, seqs)
			if err != nil {
				t.Fatal(err)
			}
			got, err := mapped.LogProbs(ctx, seqs)
			if err != nil {
				t.Fatal(err)
			}
			req := policy.Request{Temperature: 1, Seed: 3, MaxTokens: 20}
			drawn := func(p *policy.Policy) []policy.Draw {
				all, err := p.Generate(ctx, [][]int32{seqs[0].Prompt, seqs[1].Prompt}, req)
				if err != nil {
					t.Fatal(err)
				}
				return all
			}
			if adapter {
				for i := range got {
					near(t, g.Name, got[i], want[i])
				}
				continue
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: log-probabilities %v, want %v", g.Name, got, want)
			}
			if one, other := drawn(wide), drawn(mapped); fmt.Sprint(one) != fmt.Sprint(other) {
				t.Errorf("%s: drew %v, want %v", g.Name, other, one)
			}
		}
	}
}

// TestInt8Weights: a policy quantized to eight bits gives the same bits as one in float32 whose weights have
// the quantized values.
func TestInt8Weights(t *testing.T) {
	ctx := context.Background()
	for _, g := range policytest.Goldens(t) {
		open := func(fsys fs.FS, form model.Form) *policy.Policy {
			p, err := policy.Open(fsys, policy.Options{Form: form})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		for kind, fsys := range map[string]fs.FS{
			"float32": g.Folder(false),
			"bf16":    policytest.BF16(t, g.Folder(false)),
			"fp16":    policytest.As(t, g.Folder(false), safetensors.F16),
		} {
			eight := open(fsys, model.Int8)
			m := eight.Model()
			if _, ok := m.Layers[1].Down.Wrapped.(*kernel.Int8); !ok && !m.NF4 || m.Layers[1].Down.W != nil {
				t.Fatalf("%s: not in eight bits: %T", g.Name, m.Layers[1].Down.Wrapped)
			}
			wide := eight.With(m.Clone())
			var seqs []policy.Sequence
			for _, e := range g.Examples {
				seqs = append(seqs, policy.Sequence{Prompt: e.Prompt, Answer: e.Answer})
			}
			say := func(p *policy.Policy) string {
				logps, err := p.LogProbs(ctx, seqs)
				if err != nil {
					t.Fatal(err)
				}
				draws, err := p.Generate(ctx, [][]int32{seqs[0].Prompt, seqs[1].Prompt},
					policy.Request{Temperature: 1, Seed: 3, MaxTokens: 20})
				if err != nil {
					t.Fatal(err)
				}
				return fmt.Sprint(logps, draws)
			}
			if got, want := say(eight), say(wide); got != want {
				t.Errorf("%s, %s: %s\nwant %s", g.Name, kind, got, want)
			}
			if m.NF4 {
				continue // four bits stay four bits
			}
			if far, err := m.Distance(open(fsys, model.Float32).Model(), nil); err != nil || far == 0 || far > 0.01 {
				t.Errorf("%s, %s: weights are %g apart, %v", g.Name, kind, far, err)
			}
		}
	}
}

// TestMappedFile: a large local file is mapped while its weights are in use, and unmapped afterwards.
func TestMappedFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("mappings are listed on Linux only")
	}
	const n, k = 1 << 13, 1 << 12 // 64 MiB
	dir := t.TempDir()
	header := fmt.Sprintf(`{"w":{"dtype":"BF16","shape":[%d,%d],"data_offsets":[0,%d]}}`, n, k, 2*n*k)
	raw := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	name := filepath.Join(dir, "w.safetensors")
	if err := os.WriteFile(name, append(raw, 0x80, 0x3f), 0o600); err != nil { // 1, then a hole of zeros
		t.Fatal(err)
	}
	if err := os.Truncate(name, int64(len(raw)+2*n*k)); err != nil {
		t.Fatal(err)
	}
	mapped := func() bool {
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(maps), name)
	}
	func() {
		f, err := safetensors.Read(os.DirFS(dir), "w.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		w, err := f.Mapped("w", n, k)
		if err != nil {
			t.Fatal(err)
		}
		f = nil
		runtime.GC()
		row := make([]float32, k)
		if w.Rows(row, 0, 1); row[0] != 1 || row[1] != 0 || !mapped() {
			t.Errorf("row %v…, mapped: %v", row[:2], mapped())
		}
	}()
	for deadline := time.Now().Add(10 * time.Second); mapped(); runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the file is still mapped, though it is no longer in use")
		}
	}
}
