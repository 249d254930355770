package judge

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"unicode"

	"itool/schemas/toolcall"
	"itool/stages"
)

// Protocol is the name of what is spoken here.
const Protocol = "itool-judge/1"

// Limits of a batch and of what comes back.
const (
	mostQuestions = 32
	mostBytes     = 1 << 20 // of the questions of a batch, unless one alone is longer
	mostAnswer    = 256 << 10
	mostReason    = 4 << 10
	keptReason    = 200 // of which so much is kept
	mostName      = 128
)

// question is one answer to be judged, as it is sent, and what came of it.
type question struct {
	digest  digest
	name    string // of the judge that is wanted
	example string
	text    json.RawMessage // nil: only the judge's name is wanted

	done    chan struct{} // closed when the rest is set
	judge   string
	outcome stages.Outcome
	err     error
}

type digest [sha256.Size]byte

// sent is a question on the wire. Its keys stand in this order, so that equal questions have equal bytes.
type sent struct {
	Example     sentExample     `json:"example"`
	Answer      string          `json:"answer"`
	AnswerCalls json.RawMessage `json:"answer_calls"`
}

type sentExample struct {
	ID             string          `json:"id"`
	Category       string          `json:"category"`
	Messages       json.RawMessage `json:"messages"`
	Tools          json.RawMessage `json:"tools"`
	Reference      string          `json:"reference"`
	ReferenceCalls json.RawMessage `json:"reference_calls"`
	Acceptable     json.RawMessage `json:"acceptable"`
}

func newQuestion(name string, q stages.Question) (*question, error) {
	ex := q.Example
	text, err := plain(sent{
		Example: sentExample{
			ID: ex.ID, Category: ex.Category, Messages: raw(ex.Messages), Tools: raw(ex.Tools),
			Reference: ex.Reference, ReferenceCalls: calls(ex.Reference, ex.Tools), Acceptable: raw(ex.Acceptable),
		},
		AnswerCalls: calls(q.Answer, ex.Tools), Answer: strings.ToValidUTF8(q.Answer, "\uFFFD"),
	})
	if err != nil {
		return nil, fmt.Errorf("example %s: %w", ex.ID, err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q\n", name)
	sum.Write(text)
	return &question{
		digest: digest(sum.Sum(nil)), name: name, example: ex.ID, text: text, done: make(chan struct{}),
	}, nil
}

// raw is a column that holds JSON; an empty one is null, and one that is no JSON a text.
func raw(column string) json.RawMessage {
	switch {
	case column == "":
		return json.RawMessage("null")
	case json.Valid([]byte(column)):
		return json.RawMessage(column)
	}
	text, _ := plain(column) // texts never fail
	return text
}

// calls are the calls of an answer as a list of name and arguments, so that a judge need not know how models
// write them; null if it does not read as calls. Positional arguments have the names that the tools give them.
func calls(answer, tools string) json.RawMessage {
	turn, err := toolcall.ReadTurn(answer)
	if err != nil || len(turn.Calls) == 0 {
		return json.RawMessage("null")
	}
	if offered, err := toolcall.ParseTools(json.RawMessage(tools)); err == nil {
		if bound, _, err := toolcall.Bind(turn.Calls, offered); err == nil {
			turn.Calls = bound
		}
	}
	type call struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	all := make([]call, len(turn.Calls))
	for i, c := range turn.Calls {
		all[i] = call{c.Name, json.RawMessage(c.JSON())}
	}
	text, err := plain(all)
	if err != nil { // a value that JSON does not have, such as an infinite number
		return json.RawMessage("null")
	}
	return text
}

// plain is JSON on one line, with < and > as they are.
func plain(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

var batches atomic.Uint64

// encode writes a batch as one line, without its end, under a number that no other batch of this process has.
func encode(batch []*question) (line []byte, number uint64) {
	number = batches.Add(1)
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"protocol":%q,"batch":%d,"questions":[`, Protocol, number)
	n := 0
	for _, q := range batch {
		if q.text == nil {
			continue
		}
		if n++; n > 1 {
			b.WriteByte(',')
		}
		b.Write(q.text)
	}
	b.WriteString("]}")
	return b.Bytes(), number
}

// decode reads an answer to a batch of that number and so many questions. What a judge adds is ignored.
func decode(answer []byte, number uint64, asked int) (name string, outcomes []stages.Outcome, err error) {
	var said struct {
		Judge    string            `json:"judge"`
		Batch    *uint64           `json:"batch"`
		Outcomes []json.RawMessage `json:"outcomes"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return "", nil, fmt.Errorf("its answer %s is no JSON of the protocol (which has no NaN and no Infinity): %w",
			quote(answer), err)
	}
	switch {
	case said.Judge == "":
		return "", nil, errors.New("its answer has no judge: the key says its name and version")
	case len(said.Judge) > mostName || strings.ContainsFunc(said.Judge, unicode.IsControl):
		return "", nil, fmt.Errorf("judge: %s is no name: at most %d bytes, no control characters",
			quote([]byte(said.Judge)), mostName)
	case said.Batch == nil || *said.Batch != number:
		return "", nil, fmt.Errorf("its answer is not to batch %d: the key batch repeats the request's", number)
	case len(said.Outcomes) != asked:
		return "", nil, fmt.Errorf("%d outcomes for %d answers", len(said.Outcomes), asked)
	}
	for i, text := range said.Outcomes {
		o, err := outcomeOf(text)
		if err != nil {
			return "", nil, fmt.Errorf("outcome %d: %w", i, err)
		}
		outcomes = append(outcomes, o)
	}
	return said.Judge, outcomes, nil
}

// outcomeOf reads one outcome. pass decides; without it an answer is right if its score is 1. Without a score it
// is 1 for a right answer and −1 for a wrong one.
func outcomeOf(text json.RawMessage) (o stages.Outcome, err error) {
	var said struct {
		Pass   *bool    `json:"pass"`
		Score  *float64 `json:"score"`
		Reason string   `json:"reason"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return o, fmt.Errorf("%s: %w", quote(text), err)
	}
	switch {
	case said.Pass == nil && said.Score == nil:
		return o, fmt.Errorf("%s has neither pass nor score", quote(text))
	case said.Score != nil && !(math.Abs(*said.Score) <= 1):
		return o, fmt.Errorf("score: %g is not within -1..1", *said.Score)
	case len(said.Reason) > mostReason:
		return o, fmt.Errorf("reason: %d bytes, at most %d are allowed", len(said.Reason), mostReason)
	}
	switch {
	case said.Score == nil && *said.Pass:
		o.Pass, o.Score = true, 1
	case said.Score == nil:
		o.Score = -1
	case said.Pass == nil:
		o.Pass, o.Score = *said.Score == 1, *said.Score
	default:
		o.Pass, o.Score = *said.Pass, *said.Score
	}
	o.Reason = beginning(said.Reason, keptReason)
	return o, nil
}

// longestQuote bounds what errors repeat of a judge's words, in bytes.
const longestQuote = 200

// quote is the beginning of a text, as errors show it.
func quote(text []byte) string {
	return fmt.Sprintf("%q", beginning(string(text), longestQuote))
}

// beginning is at most so many bytes of a text.
func beginning(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
