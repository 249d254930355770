package pretrain

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing/fstest"

	"itool/ops/synth"
	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/stages/judge"
	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
	"itool/stages/policy/train"
)

// talk is a conversation that ends in the assistant's answer.
type talk struct {
	messages []template.Message
	tools    json.RawMessage
}

// conversations are the rows of the world, some of them turned into judgements.
func (c Config) conversations(ctx context.Context) ([]talk, error) {
	rows, err := synth.Make(c.World)
	if err != nil {
		return nil, err
	}
	j := &judgements{rand: rand.New(rand.NewPCG(c.Seed, 0x1d6e))}
	var out []talk
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t := talk{tools: row.Tools}
		for _, m := range row.Messages {
			t.messages = append(t.messages, template.Message(m))
		}
		if len(j.others) > 0 && j.rand.Float64() < c.Judging {
			t = j.talk(row)
		}
		j.remember(row)
		out = append(out, t)
	}
	return out, nil
}

// evaluator is the system turn with which judge asks for a judgement.
const evaluator = "You judge answers. Choose the option that fits the answer best and reply with its letter only."

// judgements makes conversations in the form of judge's self-evaluation.
type judgements struct {
	rand   *rand.Rand
	others []string // answers to earlier requests
	words  []string // values of earlier answers
}

func (j *judgements) remember(row synth.Row) {
	const enough = 500 // of each: they only lend wrong values
	calls, err := toolcall.Read(row.Answer())
	if err != nil || len(j.others) >= enough {
		return
	}
	j.others = append(j.others, row.Answer())
	for _, call := range calls {
		for _, a := range call.Args {
			if a.Value.Kind == toolcall.String {
				j.words = append(j.words, a.Value.Text)
			}
		}
	}
}

// talk asks for a judgement of an answer to the row's request whose worth is known.
func (j *judgements) talk(row synth.Row) talk {
	option := j.rand.IntN(4) // 0 right, 1 nearly right, 2 wrong, 3 nonsense
	answer := row.Answer()
	switch option {
	case 1:
		var ok bool
		if answer, ok = j.bend(answer); !ok {
			option = 0
		}
	case 2:
		answer = j.others[j.rand.IntN(len(j.others))]
		if answer == row.Answer() {
			option = 0
		}
	case 3:
		words := strings.Fields(strings.NewReplacer("(", " ( ", "=", " = ", ",", " , ").Replace(answer))
		j.rand.Shuffle(len(words), func(a, b int) { words[a], words[b] = words[b], words[a] })
		answer = strings.Join(words, " ")
	}
	messages, _ := json.Marshal(row.Messages[:1])
	ex := schemas.Example{Messages: string(messages), Reference: row.Answer()}
	rotation := j.rand.IntN(4)
	return talk{messages: []template.Message{
		{Role: "system", Content: evaluator},
		{Role: "user", Content: judge.EvaluationPrompt(&ex, answer, j.rand.IntN(2) == 0, rotation)},
		{Role: "assistant", Content: string("ABCD"[(option-rotation+4)%4])},
	}}
}

// bend changes one value of an answer; false when it has none to change.
func (j *judgements) bend(answer string) (string, bool) {
	calls, err := toolcall.Read(answer)
	if err != nil || len(calls) == 0 || len(j.words) == 0 {
		return answer, false
	}
	call := calls[j.rand.IntN(len(calls))]
	if len(call.Args) == 0 {
		return answer, false
	}
	v := &call.Args[j.rand.IntN(len(call.Args))].Value
	switch v.Kind {
	case toolcall.Int:
		*v = toolcall.Integer(int64(2 + j.rand.IntN(98)))
	case toolcall.Bool:
		v.Bool = !v.Bool
	default:
		*v = toolcall.Text(j.words[j.rand.IntN(len(j.words))])
	}
	bent := toolcall.Print(calls)
	return bent, bent != answer
}

// render writes a conversation, up to the answer when prompt is set. Texts of synth
// hold no control tokens, so nothing needs a shield.
func (t talk) render(tpl *template.Template, prompt bool) (string, error) {
	messages := t.messages
	if prompt {
		messages = messages[:len(messages)-1]
	}
	return tpl.Render(template.Input{Messages: messages, Tools: t.tools, Prompt: prompt})
}

// vocabularyTexts is how many conversations the tokenizer is trained on: the world
// is small, more bring no new word.
const vocabularyTexts = 4000

// makeTokenizer learns the vocabulary from the first conversations.
func makeTokenizer(talks []talk, vocab int) ([]byte, *tokenizer.Tokenizer, error) {
	tpl, err := chat()
	if err != nil {
		return nil, nil, err
	}
	var failed error
	texts := func(yield func(string) bool) {
		for _, t := range talks[:min(len(talks), vocabularyTexts)] {
			text, err := t.render(tpl, false)
			if err != nil {
				failed = err
				return
			}
			if !yield(text) {
				return
			}
		}
	}
	file, err := tokenizer.Train(texts, vocab, template.DefaultSpecial())
	if failed != nil {
		err = failed
	}
	if err != nil {
		return nil, nil, err
	}
	tok, err := tokenizer.Open(fstest.MapFS{tokenizer.File: {Data: file}})
	return file, tok, err
}

func chat() (*template.Template, error) {
	return template.New(template.Default, template.DefaultBOS, template.DefaultEnd)
}

// phases turns conversations into ids: first whole ones, with a loss on all that
// follows the first token, then some with a loss on the answer only.
func (c Config) phases(talks []talk, tok *tokenizer.Tokenizer) ([]train.Phase, error) {
	tpl, err := chat()
	if err != nil {
		return nil, err
	}
	whole := train.Phase{Name: "conversations", Epochs: 1, Rate: c.Rate, BatchSize: c.BatchSize}
	answers := train.Phase{Name: "answers", Epochs: 1, Rate: c.Rate / 2, BatchSize: c.BatchSize}
	cut := len(talks) - int(c.Answers*float64(len(talks)))
	for i, t := range talks {
		text, err := t.render(tpl, false)
		if err != nil {
			return nil, err
		}
		ids := tok.EncodeRendered(text)
		if len(ids) > c.Context {
			return nil, fmt.Errorf("conversation %d has %d tokens, the context %d: raise context or vocab", i, len(ids), c.Context)
		}
		if i < cut {
			whole.Examples = append(whole.Examples, train.Example{ID: fmt.Sprint(i), Prompt: ids[:1], Answer: ids[1:]})
			continue
		}
		if text, err = t.render(tpl, true); err != nil {
			return nil, err
		}
		n := len(tok.EncodeRendered(text))
		answers.Examples = append(answers.Examples, train.Example{ID: fmt.Sprint(i), Prompt: ids[:n], Answer: ids[n:]})
	}
	if len(answers.Examples) == 0 {
		return []train.Phase{whole}, nil
	}
	return []train.Phase{whole, answers}, nil
}
