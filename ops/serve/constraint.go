package serve

import (
	"encoding/json"
	"slices"
	"sync"

	"itool/ops/serve/constrain"
	"itool/stages/policy"
	"itool/stages/policy/tokenizer"
)

// responseFormat says what the words of an answer are.
type responseFormat struct {
	Type   string `json:"type"` // text, json_object or json_schema
	Schema *struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
}

// constraint is the grammar of the answers to a request; nil: they are free.
func (s *Server) constraint(in *chatRequest) (*constrain.Grammar, error) {
	param, spec, err := s.spec(in)
	if param == "" || err != nil {
		return nil, err
	}
	v, err := s.grammars.words(s.policy)
	if err != nil {
		return nil, refused(param, " for this model: %v", err)
	}
	g, err := s.grammars.compile(v, spec)
	if err != nil {
		return nil, bad(param, "%v", err)
	}
	return g, nil
}

// spec says what a request asks for, and which of its fields does; "": none.
func (s *Server) spec(in *chatRequest) (param string, spec constrain.Spec, err error) {
	if !in.ToolChoice.must() {
		switch in.Format.Type {
		case "", "text":
			return "", spec, nil
		case "json_object":
			spec.Object = true
		case "json_schema":
			if in.Format.Schema == nil || !given(in.Format.Schema.Schema) {
				return "", spec, bad("response_format", "json_schema.schema is missing")
			}
			spec.Schema = in.Format.Schema.Schema
		default:
			return "", spec, bad("response_format", "type %q is none of text, json_object, json_schema",
				short(in.Format.Type))
		}
		param = "response_format"
	}
	if in.mayCall() { // with a format the answer may still be a call
		calls := &constrain.Calls{Format: s.Calls, Name: in.ToolChoice.name}
		calls.Many = or(in.Parallel, true) && calls.Name == ""
		if calls.Tools, err = json.Marshal(in.Tools); err != nil {
			return "", spec, err
		}
		spec.Calls = calls
	}
	if param == "" {
		param = "tool_choice"
	}
	return param, spec, nil
}

// grammars keeps the vocabulary, and the grammars that were used last: clients ask again with the same schema.
type grammars struct {
	once       sync.Once
	vocabulary *constrain.Vocabulary
	err        error

	mu   sync.Mutex
	kept []keptGrammar // the last used first
}

type keptGrammar struct {
	key     string
	grammar *constrain.Grammar
}

// words is the vocabulary of a policy, made when the first request needs it.
func (g *grammars) words(p *policy.Policy) (*constrain.Vocabulary, error) {
	g.once.Do(func() {
		kinds := p.Tokenizer().Kinds
		control := func(id int32) bool { return int(id) < len(kinds) && kinds[id] == tokenizer.Control }
		var ends []int32
		for id := range int32(p.VocabSize()) {
			if p.IsEnd(id) {
				ends = append(ends, id)
			}
		}
		g.vocabulary, g.err = constrain.NewVocabulary(p.VocabSize(), p.TokenBytes, control, ends)
	})
	return g.vocabulary, g.err
}

// compile returns the grammar of a spec, from those that are kept if it is there.
func (g *grammars) compile(v *constrain.Vocabulary, spec constrain.Spec) (*constrain.Grammar, error) {
	raw, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	key := string(raw)
	if found := g.find(key); found != nil {
		return found, nil
	}
	made, err := constrain.Compile(v, spec)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kept = append([]keptGrammar{{key, made}}, g.kept[:min(len(g.kept), maxGrammars-1)]...)
	return made, nil
}

// find moves the grammar of a key to the front.
func (g *grammars) find(key string) *constrain.Grammar {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := slices.IndexFunc(g.kept, func(k keptGrammar) bool { return k.key == key })
	if at < 0 {
		return nil
	}
	found := g.kept[at]
	copy(g.kept[1:at+1], g.kept[:at])
	g.kept[0] = found
	return found.grammar
}
