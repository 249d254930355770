package pretrain

import (
	"context"
	"strings"
	"testing"

	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
	"itool/stages/policy/train"
)

// TestJudgements: the training has judgements with the prompt that package judge uses, with
// all letters and all options, and the right ones are called right.
func TestJudgements(t *testing.T) {
	c := Default()
	c.Lessons = []Lesson{{Rows: 2000, Recall: 0.2, Pairs: 4, Judging: 0.2, Tools: 6, Calls: 4}}
	conversations, err := c.conversations(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	letters, options, n := map[string]int{}, map[string]int{}, 0
	for _, conversation := range conversations {
		if !conversation.judges {
			continue
		}
		n++
		turns := conversation.messages
		letter, ask, answer := turns[len(turns)-1].Content, turns[len(turns)-2].Content, turns[len(turns)-3].Content
		letters[letter]++
		_, option, _ := strings.Cut(ask, "\n"+letter+". ")
		option, _, _ = strings.Cut(option, "\n")
		options[option]++
		_, ref, both := strings.Cut(ask, "\nReference:\n")
		reference, _, _ := strings.Cut(ref, "\nOptions:")
		if both && (option == "The answer is right.") != (answer == reference) {
			t.Errorf("%q is called %q, the reference is %q", answer, option, reference)
		}
		if len(conversation.tools) == 0 {
			t.Errorf("%q is judged without tools", answer)
		}
	}
	if n < 300 || n > 500 {
		t.Errorf("%d of 2000 conversations judge, want about 400", n)
	}
	for name, counts := range map[string]map[string]int{"letter": letters, "option": options} {
		if len(counts) != 4 {
			t.Errorf("%ss: %v, want four", name, counts)
		}
		for k, v := range counts {
			if v < n/10 {
				t.Errorf("%s %s: %d of %d, want at least a tenth", name, k, v, n)
			}
		}
	}
}

// trainingData returns everything on which a base of this configuration is trained.
func trainingData(t *testing.T, c Config) ([]conversation, *tokenizer.Tokenizer, train.Phase) {
	t.Helper()
	conversations, err := c.conversations(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	_, tok, err := makeTokenizer(conversations, c.Vocab)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.phase(conversations, tok)
	if err != nil {
		t.Fatal(err)
	}
	return conversations, tok, p
}

// TestLengths: tools, prompts and answers are short enough for a tiny model and a tiny search.
func TestLengths(t *testing.T) {
	c := Default()
	c.Lessons, c.World.Turns = []Lesson{{Rows: 1500, Recall: 0.2, Pairs: 8, Judging: 0.1, Tools: 6, Calls: 4}}, 1
	conversations, tok, p := trainingData(t, c)
	tpl, err := chat()
	if err != nil {
		t.Fatal(err)
	}
	longest, tools, answers, learnt, all := 0, 0, 0, 0, 0
	for i, conversation := range conversations {
		said := 0
		for _, learn := range p.Examples[i].Learn {
			if learn {
				said++
			}
		}
		learnt, all = learnt+said, all+len(p.Examples[i].Learn)
		if conversation.tools == nil || conversation.judges { // a judgement's prompt holds a request and more
			continue
		}
		longest, answers = max(longest, len(p.Examples[i].Learn)-said), max(answers, said)
		text, err := conversation.render(tpl)
		if err != nil {
			t.Fatal(err)
		}
		system, _, _ := strings.Cut(text, template.DefaultEnd)
		for _, line := range strings.Split(system, "\n")[1:] {
			tools = max(tools, len(tok.Encode(line)))
		}
	}
	t.Logf("vocabulary %d; at most %d tokens a tool, %d a prompt, %d an answer; %.0f %% are learnt",
		tok.Size(), tools, longest, answers, 100*float64(learnt)/float64(all))
	if tools > 45 || longest > 384 || answers > maxAnswer {
		t.Errorf("at most %d tokens a tool, %d a prompt, %d an answer, want 45, 384, %d",
			tools, longest, answers, maxAnswer)
	}
}

// TestLearnMask: the loss is exactly on the assistant's turns, with their end-of-turn token;
// in a judgement it is on the letter alone.
func TestLearnMask(t *testing.T) {
	c := Default()
	c.Lessons = []Lesson{{Rows: 300, Recall: 0.3, Pairs: 8, Judging: 0.1, Tools: 6, Calls: 4}}
	conversations, tok, p := trainingData(t, c)
	for i, conversation := range conversations {
		var got, want strings.Builder
		for k, id := range p.Examples[i].Answer {
			if p.Examples[i].Learn[k] {
				got.WriteString(tok.Decode([]int32{id}))
			}
		}
		for k, m := range conversation.messages {
			if m.Role == "assistant" && (!conversation.judges || k == len(conversation.messages)-1) {
				want.WriteString(m.Content + template.DefaultEnd)
			}
		}
		if got.String() != want.String() {
			t.Fatalf("conversation %d: learns %q, want %q", i, got.String(), want.String())
		}
	}
}
