package serve

import (
	"slices"
	"unicode/utf8"

	"itool/stages/policy"
)

// chatLogProbs is how /v1/chat/completions reports tokens.
type chatLogProbs struct {
	Content []logprob `json:"content"`
}

type logprob struct {
	Token   string    `json:"token"`
	LogProb float64   `json:"logprob"`
	Bytes   []int     `json:"bytes"`
	Top     []logprob `json:"top_logprobs,omitempty"`
}

func (s *Server) chatLogProbs(tokens []policy.Token) *chatLogProbs {
	list := make([]logprob, len(tokens))
	for i, t := range tokens {
		list[i] = s.alternative(policy.Alternative{ID: t.ID, LogProb: t.LogProb})
		for _, a := range t.Top {
			list[i].Top = append(list[i].Top, s.alternative(a))
		}
	}
	return &chatLogProbs{list}
}

func (s *Server) alternative(a policy.Alternative) logprob {
	raw := s.policy.TokenBytes(a.ID)
	l := logprob{Token: s.token(a.ID), LogProb: a.LogProb, Bytes: make([]int, len(raw))}
	for i, b := range raw {
		l.Bytes[i] = int(b)
	}
	return l
}

// token is the text of one token; incomplete characters show as U+FFFD.
func (s *Server) token(id int32) string {
	x := text{pending: string(s.policy.TokenBytes(id))}
	return x.rest()
}

// tokenList is how /v1/completions reports tokens.
type tokenList struct {
	Tokens   []string             `json:"tokens"`
	LogProbs []*float64           `json:"token_logprobs"` // null for a prompt's first one, which nothing predicts
	Top      []map[string]float64 `json:"top_logprobs"`   // null unless asked for
	Offsets  []int                `json:"text_offset"`    // in characters

	at int
}

// add appends tokens under the names that name gives them. Beside each token stand the log-probabilities of the
// tokens of, or with top those of the likeliest ones.
func (l *tokenList) add(name func(int32) string, of []int32, top bool, tokens ...policy.Token) {
	for _, t := range tokens {
		l.one(name(t.ID), &t.LogProb)
		if !top && len(of) == 0 {
			continue
		}
		best := map[string]float64{}
		for _, a := range t.Top {
			best[name(a.ID)] = a.LogProb
		}
		for i, logp := range t.Of {
			best[name(of[i])] = logp
		}
		l.Top = append(l.Top, best)
	}
}

func (l *tokenList) one(text string, logp *float64) {
	l.Tokens, l.LogProbs, l.Offsets = append(l.Tokens, text), append(l.LogProbs, logp), append(l.Offsets, l.at)
	l.at += utf8.RuneCountInString(text)
}

func (l *tokenList) clone() tokenList {
	return tokenList{
		slices.Clone(l.Tokens), slices.Clone(l.LogProbs), slices.Clone(l.Top), slices.Clone(l.Offsets), l.at,
	}
}
