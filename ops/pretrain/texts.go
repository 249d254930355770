package pretrain

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
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

// conversation is one text to train on. The loss is on every turn of the assistant or, if
// it judges, only on the last: the turn that is judged may be wrong.
type conversation struct {
	messages []template.Message
	tools    json.RawMessage
	judges   bool
}

// conversations generates the conversations of all lessons, in the order of training.
func (c Config) conversations(ctx context.Context) ([]conversation, error) {
	r := rand.New(rand.NewPCG(c.Seed, 0x1d6e))
	j := &judgements{rand: r}
	n := &recallTexts{rand: r, words: synth.NewWords(c.World.Seed, c.World.Fold, c.World.Folds)}
	var out []conversation
	for i, l := range c.Lessons {
		next, stop, err := c.requests(i, l)
		if err != nil {
			return nil, err
		}
		for range l.Rows {
			kind := r.Float64()
			if kind < l.Recall {
				out = append(out, n.conversation(1+r.IntN(l.Pairs)))
				continue
			}
			row, _ := next() // requests makes l.Rows of them, which is enough
			if kind < l.Recall+l.Judging && len(j.others) > 0 {
				judged, err := j.conversation(row)
				if err != nil {
					return nil, err
				}
				out = append(out, judged)
				continue
			}
			j.remember(row)
			t := conversation{tools: row.Tools}
			for _, m := range row.Messages {
				t.messages = append(t.messages, template.Message(m))
			}
			out = append(out, t)
		}
		stop()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// requests generates a lesson's conversations with tools.
func (c Config) requests(lesson int, l Lesson) (next func() (synth.Row, bool), stop func(), err error) {
	w := c.World
	w.Rows, w.Tools, w.Calls, w.Seed = l.Rows, max(1, l.Tools), max(1, l.Calls), w.Seed+uint64(lesson)
	rows, err := synth.Make(w)
	if err != nil {
		return nil, nil, err
	}
	next, stop = iter.Pull(rows)
	return next, stop, nil
}

// judgements makes conversations in the form of the self-evaluation of package judge.
type judgements struct {
	rand   *rand.Rand
	others []string // answers to earlier requests
	words  []string // values of earlier answers
}

func (j *judgements) remember(row synth.Row) {
	const enough = 500 // answers: they are only a source of wrong answers and values
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

// conversation asks for a judgement of an answer to the row's last request. It makes the
// answer right, nearly right, wrong or nonsense, so the right judgement is known.
func (j *judgements) conversation(row synth.Row) (conversation, error) {
	option := j.rand.IntN(4) // 0 right, 1 nearly right, 2 wrong, 3 nonsense
	answer := row.Answer()
	switch option {
	case 1:
		var ok bool
		if answer, ok = j.changeValue(answer); !ok {
			option = 0
		}
	case 2:
		answer = j.others[j.rand.IntN(len(j.others))]
		if answer == row.Answer() {
			option = 0
		}
	case 3:
		words := strings.Fields(strings.NewReplacer("(", " ( ", "=", " = ", ",", " , ").Replace(answer))
		before := strings.Join(words, " ")
		j.rand.Shuffle(len(words), func(a, b int) { words[a], words[b] = words[b], words[a] })
		if answer = strings.Join(words, " "); answer == before { // the shuffle changed nothing
			answer, option = row.Answer(), 0
		}
	}
	before, err := json.Marshal(row.Messages[:len(row.Messages)-1])
	if err != nil {
		return conversation{}, err
	}
	ex := schemas.Example{Messages: string(before), Reference: row.Answer()}
	rotation := j.rand.IntN(4)
	turns, err := judge.Evaluation(&ex, answer, j.rand.IntN(4) > 0, rotation)
	if err != nil {
		return conversation{}, err
	}
	letter := template.Message{Role: "assistant", Content: string("ABCD"[(option-rotation+4)%4])}
	return conversation{messages: append(turns, letter), tools: row.Tools, judges: true}, nil
}

// changeValue changes one value of an answer. It returns false if there is none to change.
func (j *judgements) changeValue(answer string) (string, bool) {
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
	changed := toolcall.Print(calls)
	return changed, changed != answer
}

// render writes a conversation as text. The texts of synth contain no control tokens, so
// nothing must be escaped.
func (t conversation) render(tpl *template.Template) (string, error) {
	return tpl.Render(template.Input{Messages: t.messages, Tools: t.tools})
}

// vocabularyTexts is the number of conversations, from the end, on which the tokenizer is
// trained. More of them would bring no new words.
const vocabularyTexts = 4000

// makeTokenizer trains the tokenizer on the last conversations: those of the last lesson,
// which are of all kinds.
func makeTokenizer(conversations []conversation, vocab int) ([]byte, *tokenizer.Tokenizer, error) {
	tpl, err := chat()
	if err != nil {
		return nil, nil, err
	}
	var failed error
	texts := func(yield func(string) bool) {
		for _, t := range conversations[max(0, len(conversations)-vocabularyTexts):] {
			text, err := t.render(tpl)
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

// phase tokenizes the conversations and puts the loss on the assistant's turns only. The
// users' turns and the tools are mostly random: training with a loss on them too taught
// less than training without it on a third as many tokens (measured).
func (c Config) phase(conversations []conversation, tok *tokenizer.Tokenizer) (train.Phase, error) {
	p := train.Phase{Name: "conversations", Epochs: 1, Rate: c.Rate, BatchSize: c.BatchSize}
	tpl, err := chat()
	if err != nil {
		return p, err
	}
	begin, _ := tok.ID(template.DefaultAssistant)
	end, _ := tok.ID(template.DefaultEnd)
	for i, t := range conversations {
		text, err := t.render(tpl)
		if err != nil {
			return p, err
		}
		ids := tok.EncodeRendered(text)
		if len(ids) > c.Context {
			return p, fmt.Errorf("conversation %d has %d tokens, the context %d: raise context or vocab",
				i, len(ids), c.Context)
		}
		e := train.Example{ID: fmt.Sprint(i), Prompt: ids[:1], Answer: ids[1:], Learn: make([]bool, len(ids)-1)}
		for k, assistant := 0, false; k < len(e.Answer); k++ {
			e.Learn[k] = assistant
			switch e.Answer[k] {
			case begin:
				assistant = true
				if t.judges {
					clear(e.Learn)
				}
			case end:
				assistant = false
			}
		}
		p.Examples = append(p.Examples, e)
	}
	return p, nil
}
