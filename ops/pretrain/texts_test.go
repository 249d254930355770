package pretrain

import (
	"context"
	"os"
	"strings"
	"testing"

	"itool/stages/policy/template"
)

// TestJudgements: a base that is to be asked for judgements must have seen them in
// the words in which judge asks.
func TestJudgements(t *testing.T) {
	source, err := os.ReadFile("../../stages/judge/selfeval.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), `"`+evaluator+`"`) {
		t.Errorf("judge's system turn has changed: it is no longer %q", evaluator)
	}
	c := Default()
	c.World.Rows, c.Judging = 2000, 0.2
	talks, err := c.conversations(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	letters, options, n := map[string]int{}, map[string]int{}, 0
	for _, talk := range talks {
		if talk.messages[0].Role != "system" {
			continue
		}
		n++
		letter := talk.messages[2].Content
		letters[letter]++
		_, option, _ := strings.Cut(talk.messages[1].Content, "\n"+letter+". ")
		option, _, _ = strings.Cut(option, "\n")
		options[option]++
		want, ref, both := strings.Cut(talk.messages[1].Content, "\nReference:\n")
		if both && option == "The answer is right." {
			reference, rest, _ := strings.Cut(ref, "\nAnswer:\n")
			if answer, _, _ := strings.Cut(rest, "\nOptions:"); answer != reference {
				t.Errorf("%q: %q is called right, the reference is %q", want, answer, reference)
			}
		}
	}
	if n < 300 || n > 500 {
		t.Errorf("%d of 2000 conversations judge, want about 400", n)
	}
	for name, counts := range map[string]map[string]int{"letter": letters, "option": options} {
		if len(counts) != 4 {
			t.Errorf("%ss: %v", name, counts)
		}
		for k, v := range counts {
			if v < n/10 {
				t.Errorf("%s %s: %d of %d", name, k, v, n)
			}
		}
	}
}

// TestShort holds the sizes that a tiny model and a tiny search can afford.
func TestShort(t *testing.T) {
	c := Default()
	c.World.Rows = 2000
	talks, err := c.conversations(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	_, tok, err := makeTokenizer(talks, c.Vocab)
	if err != nil {
		t.Fatal(err)
	}
	tpl, err := chat()
	if err != nil {
		t.Fatal(err)
	}
	longest, tools, answers := 0, 0, 0
	for _, talk := range talks {
		prompt, err := talk.render(tpl, true)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := talk.render(tpl, false)
		if err != nil {
			t.Fatal(err)
		}
		n := len(tok.EncodeRendered(prompt))
		longest = max(longest, n)
		answers = max(answers, len(tok.EncodeRendered(whole))-n)
		if talk.tools == nil {
			continue
		}
		system, _, _ := strings.Cut(prompt, template.DefaultEnd)
		for _, line := range strings.Split(system, "\n")[1:] {
			tools = max(tools, len(tok.Encode(line)))
		}
	}
	t.Logf("vocabulary %d; at most %d tokens a tool, %d a prompt, %d an answer", tok.Size(), tools, longest, answers)
	if tools > 45 || longest > 300 || answers > maxAnswer {
		t.Error("too long")
	}
}
