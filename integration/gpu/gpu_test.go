package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"itool/ops/report"
	"itool/stages/evaluate/stats"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudatest"
	"itool/stages/policy/model"
)

// tiny are the same jobs at sizes that an interpreter manages.
var tiny = sizes{
	products: [][3]int{{17, 40, 24}},
	shapes: []shape{{"tiny", model.Config{
		Family: model.Qwen2, HiddenSize: 64, IntermediateSize: 96, NumLayers: 1, NumHeads: 2, NumKVHeads: 1,
		HeadDim: 32, VocabSize: 512, RopeTheta: 1e4, TieEmbeddings: true,
	}}},
	sequences: 2, tokens: 6, prompt: 4, drawn: 2, streams: []int{1, 3}, fragment: 1, searches: 2,
}

// TestJobs: the program that a GPU runs does all its jobs here, on the CPU and on the kernels in the interpreter, and
// writes them.
func TestJobs(t *testing.T) {
	host, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("cpu", func(t *testing.T) { testJobs(t, host) })
	t.Run("interpreter", func(t *testing.T) {
		if testing.Short() {
			t.Skip("short: the interpreter takes some seconds for all jobs")
		}
		gpu, err := cuda.New(cudatest.Open())
		if err != nil {
			t.Fatal(err)
		}
		testJobs(t, gpu)
	})
}

func testJobs(t *testing.T, dev kernel.Device) {
	b := &bench{ctx: t.Context(), dev: dev, dir: t.TempDir(), once: true, say: t.Logf}
	p := page{device: dev.Name(), sections: tiny.sections()}
	if err := b.measure(p.sections); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.sections {
		for _, j := range s.jobs {
			if !strings.Contains(j.result, j.unit) {
				t.Errorf("%s: %s: %s", s.title, j.name, j.result)
			}
		}
	}
	var text strings.Builder
	if err := p.write(&text); err != nil || !strings.Contains(text.String(), "Measured on "+dev.Name()) {
		t.Errorf("%v, page:\n%s", err, text.String())
	}
}

// TestFailedJob: a job that fails is a row that says why, and the others go on.
func TestFailedJob(t *testing.T) {
	gone := &job{name: "gone", unit: "x", open: func(*bench) (turn, error) { return nil, errors.New("no memory") }}
	there := &job{name: "there", unit: "x", open: func(*bench) (turn, error) {
		return func() (float64, error) { return 1, nil }, nil
	}}
	b := &bench{ctx: t.Context(), once: true, say: t.Logf}
	if err := b.measure([]section{{jobs: []*job{gone, there}}}); err != nil {
		t.Fatal(err)
	}
	if gone.result != "failed: no memory" || !strings.HasSuffix(there.result, " x") {
		t.Errorf("got %q and %q", gone.result, there.result)
	}
}

// TestPredictions: figures that can be checked by hand.
func TestPredictions(t *testing.T) {
	h200 := chips[1]
	eight := real.shapes[2]
	if n := eight.linear(); n != 6979321856 { // 32 · (4096² · 2 + 4096 · 1024 · 2 + 3 · 4096 · 14336)
		t.Errorf("8 B: %v weights of linear maps", n)
	}
	// A token of one stream reads 15.0 GB of weights, at 4.8 TB/s.
	if s := eight.decode(1, 0).seconds(h200); s < 15.0e9/4.8e12 || s > 15.1e9/4.8e12 {
		t.Errorf("8 B, one stream: %v s a token", s)
	}
	if s := product(8192, 8192, 8192).seconds(h200); s != 2.*8192*8192*8192/989e12 {
		t.Errorf("a square product: %v s", s)
	}
	for _, s := range real.sections() {
		for _, j := range s.jobs {
			fits := !strings.Contains(j.predicted(h200), "needs")
			if small := j.predicted(chips[2]); !fits || j.name == "8 B LoRA" && !strings.Contains(small, "needs") {
				t.Errorf("%s: %s: an H200 has room: %v; on an RTX 4090: %s", s.title, j.name, fits, small)
			}
		}
	}
}

// TestPage: the committed page has all rows; while no GPU was at hand, it is what the program writes without one.
func TestPage(t *testing.T) {
	committed, err := os.ReadFile("RESULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	if err := (page{sections: real.sections()}).write(&want); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(committed), "Measured on ") {
		if string(committed) != want.String() {
			t.Error("RESULTS.md is not what the program writes: go run ./integration/gpu -o integration/gpu/RESULTS.md")
		}
		return
	}
	for line := range strings.Lines(want.String()) {
		name, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if ok && name != "GPU" && !strings.Contains(string(committed), "| "+name+" |") {
			t.Errorf("the page lacks the row %q: run task gpu", name)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// TestFullDisk: an error of the file is one of the program.
func TestFullDisk(t *testing.T) {
	if err := (page{}).write(fullDisk{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v", err)
	}
}

// TestDemoRow: what `itool demo --json` prints becomes a row.
func TestDemoRow(t *testing.T) {
	line, err := json.Marshal(report.Summary{
		Accuracy: map[string]stats.Interval{"base": {Mean: 0.25}, "round 1": {Mean: 0.5}},
		Pairs:    map[string]map[string]int{"round 1": {"kept": 160, "duplicate": 3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	row, err := summarise("cuda:0", append([]byte("itool: …\n"), line...))
	if want := "| cuda:0 | base 25.0 %, round 1 50.0 % | round 1 160 |"; err != nil || row != want {
		t.Errorf("got %q, %v; want %q", row, err, want)
	}
	if _, err := summarise("cuda:0", []byte("boom")); err == nil {
		t.Error("a line that is no JSON was accepted")
	}
}
