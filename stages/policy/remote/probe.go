package remote

import (
	"context"
	"fmt"
)

// Info is what a server says of itself.
type Info struct {
	Kind    string `json:"kind"`
	Model   string `json:"model"`   // its name of the base
	Context int    `json:"context"` // most tokens of prompt and answer; 0: it does not say
}

// base is what a request calls the base. SGLang's /generate names adapters only.
func (i *Info) base() string {
	if i.Kind == SGLang {
		return ""
	}
	return i.Model
}

// owners are what /v1/models calls the owner of its models.
var owners = map[string]string{"itool": Itool, "vllm": VLLM, "sglang": SGLang, "llamacpp": LlamaCPP}

// probe asks the server what it is, once for as long as it stays up. version tells one server from the next one at
// the same address.
func (a *address) probe(ctx context.Context) (*Info, int, error) {
	a.info.Lock()
	defer a.info.Unlock()
	if a.probed != nil {
		return a.probed, a.version, nil
	}
	var list struct {
		Data []struct {
			ID      string `json:"id"`
			Owner   string `json:"owned_by"`
			Parent  string `json:"parent"`
			Context int    `json:"max_model_len"`
			Meta    struct {
				Context int `json:"n_ctx"`
			} `json:"meta"`
		} `json:"data"`
	}
	if err := a.call(ctx, "/v1/models", nil, &list); err != nil {
		return nil, 0, err
	}
	for _, m := range list.Data {
		kind, known := owners[m.Owner]
		if !known || m.Parent != "" || m.ID == "" || len(m.ID) > 4096 {
			continue
		}
		a.probed = &Info{Kind: kind, Model: m.ID, Context: max(m.Context, m.Meta.Context, 0)}
		a.version++
		return a.probed, a.version, nil
	}
	return nil, 0, wrong("/v1/models names no model of vLLM, SGLang, llama.cpp or itool serve: it is none of them, " +
		"or stands behind a gateway: give the server's own address")
}

// takes refuses what is longer than the server's context: a server would cut it, or say so less clearly.
func (a *address) takes(tokens int) error {
	a.info.Lock()
	defer a.info.Unlock()
	if a.probed != nil && a.probed.Context > 0 && tokens > a.probed.Context {
		return wrong("it takes %d tokens of prompt and answer, %d are needed: start it with a longer context",
			a.probed.Context, tokens)
	}
	return nil
}

// forget has the server probed again before the next request.
func (a *address) forget() {
	a.info.Lock()
	defer a.info.Unlock()
	a.probed = nil
}

// Kind asks the servers what they are. All must be of one kind.
func (p *Pool) Kind(ctx context.Context) (string, error) {
	found := ""
	for _, a := range p.addresses {
		info, _, err := a.probe(ctx)
		if err != nil {
			return "", fmt.Errorf("%s: %w", a.url, err)
		}
		if found != "" && found != info.Kind {
			return "", fmt.Errorf("%s is %s, and the address before it %s: give servers of one kind", a.url,
				info.Kind, found)
		}
		found = info.Kind
	}
	return found, nil
}
