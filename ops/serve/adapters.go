package serve

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"sync"

	"itool/stages/policy"
)

// Adapters are loaded while the server runs, in the form of vLLM's API: /v1/load_lora_adapter names a folder with a
// PEFT adapter, and its name is then a model beside the server's own. All share the base weights.

// served is a policy and what draws from it.
type served struct {
	policy  *policy.Policy
	batcher *policy.Batcher
}

// adapter is an adapter on the server's model.
type adapter struct {
	served
	name string
	quit chan struct{} // closed when it is unloaded
}

// run draws answers until the adapter is unloaded or ctx ends.
func (a *adapter) run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var quit sync.WaitGroup
	defer quit.Wait()
	quit.Go(func() {
		select {
		case <-a.quit:
			stop()
		case <-ctx.Done():
		}
	})
	a.batcher.Run(ctx)
}

// maxAdapters is how many are kept: that of this round, that of the round before, and as many for another run. One
// more unloads the one that was used least recently.
const maxAdapters = 4

// adapters are those that are loaded, the most recently used first.
type adapters struct {
	loaded chan *adapter // to Run

	mu  sync.Mutex
	all []*adapter
}

func (l *adapters) list() []*adapter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// find returns the adapter of this name and marks it as used, or nil.
func (l *adapters) find(name string) *adapter {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.all, func(a *adapter) bool { return a.name == name })
	if i < 0 {
		return nil
	}
	a := l.all[i]
	l.all = slices.Insert(slices.Delete(l.all, i, i+1), 0, a)
	return a
}

// add inserts an adapter. ok is false if its name is taken.
func (l *adapters) add(a *adapter) (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.all, func(b *adapter) bool { return b.name == a.name }) {
		return false
	}
	l.all = slices.Insert(l.all, 0, a)
	for _, old := range l.all[min(len(l.all), maxAdapters):] {
		close(old.quit)
	}
	l.all = l.all[:min(len(l.all), maxAdapters)]
	return true
}

// remove unloads the adapter of this name, if there is one.
func (l *adapters) remove(name string) (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.all, func(a *adapter) bool { return a.name == name })
	if i < 0 {
		return false
	}
	close(l.all[i].quit)
	l.all = slices.Delete(l.all, i, i+1)
	return true
}

type adapterRequest struct {
	Name string `json:"lora_name"`
	Path string `json:"lora_path"` // below Options.Adapters
}

// loadAdapter answers POST /v1/load_lora_adapter.
func (s *Server) loadAdapter(x *exchange) error {
	in, err := decode[adapterRequest](x.request.Body)
	if err != nil {
		return err
	}
	if s.Adapters == nil {
		text := "this server loads no adapters: itool serve --adapters DIR"
		return &apiError{http.StatusForbidden, unsupported, "", text}
	}
	if in.Name == "" || in.Name == s.Name || len(in.Name) > 200 {
		return bad("lora_name", "%q cannot be an adapter's name", short(in.Name))
	}
	if s.adapters.find(in.Name) != nil {
		return bad("lora_name", "The lora adapter '%s' has already been loaded.", short(in.Name)) // as vLLM says it
	}
	at := path.Clean(in.Path)
	if !fs.ValidPath(at) {
		return bad("lora_path", "%q is no path below the folder of --adapters", short(in.Path))
	}
	folder, err := fs.Sub(s.Adapters, at)
	if err != nil {
		return bad("lora_path", "%v", err)
	}
	p, err := s.policy.WithAdapter(folder)
	if err != nil {
		return bad("lora_path", "%v", err)
	}
	a := &adapter{served{p, policy.NewBatcher(p, s.Requests, s.Tokens)}, in.Name, make(chan struct{})}
	select {
	case s.adapters.loaded <- a: // before it has a name: it must run when it is asked
	case <-x.request.Context().Done():
		return x.request.Context().Err()
	}
	if !s.adapters.add(a) {
		close(a.quit)
		return bad("lora_name", "The lora adapter '%s' has already been loaded.", short(in.Name))
	}
	_, err = fmt.Fprintf(x, "Success: LoRA adapter '%s' added successfully.", in.Name)
	return err
}

// unloadAdapter answers POST /v1/unload_lora_adapter.
func (s *Server) unloadAdapter(x *exchange) error {
	in, err := decode[adapterRequest](x.request.Body)
	if err != nil {
		return err
	}
	if !s.adapters.remove(in.Name) {
		return &apiError{http.StatusNotFound, unknownModel, "lora_name",
			fmt.Sprintf("the adapter %q is not loaded", short(in.Name))}
	}
	_, err = fmt.Fprintf(x, "Success: LoRA adapter '%s' removed successfully.", in.Name)
	return err
}
