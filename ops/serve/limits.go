package serve

import (
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"time"

	"itool/schemas/toolcall"
)

// What one request may ask for. Options bound what all of them may.
const (
	maxBody    = 8 << 20 // bytes of a request
	maxPrompts = 64      // of /v1/completions
	maxChoices = 16      // n
	maxTop     = 20      // alternatives of a token
	maxStops   = 16      // stop texts
	maxOf      = 64      // tokens of logprob_token_ids

	maxGrammars = 8 // of tool_choice and response_format, kept for further requests; some 10 MiB each at most

	completionTokens = 16 // max_tokens of /v1/completions when it is not given, as at OpenAI

	// writeTimeout is how long a client may take to read an event.
	writeTimeout = 30 * time.Second
)

// Options of a server. Zero values mean the defaults.
type Options struct {
	Name      string           // of the model, as clients see it; default "itool"
	Key       string           // clients must send it as a bearer token; "": no key is needed
	Origins   []string         // pages that may ask from a browser: https://app.example, or "*"; default: none
	AnyHost   bool             // without a key, too, a request may name any host; false: an IP address or localhost
	Calls     toolcall.Format  // how the model writes calls; default: as its template asks
	Requests  int              // most answers that wait or are drawn; default 256
	Tokens    int              // most tokens, prompts included, of the continuous batch; default: what 1 GiB holds
	Answer    int              // most tokens of a chat's answer when the request does not say; default 2048
	Adapters  fs.FS            // where /v1/load_lora_adapter finds adapters; nil: none are loaded
	Clock     func() time.Time // default: the machine's
	Random    rand.Source      // of seeds that a request does not give, and of IDs; default: the machine's
	Log       *slog.Logger     // of faults; default: none
	Requested *slog.Logger     // gets a line for each request, without texts and keys; default: none
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "itool"
	}
	if o.Requests <= 0 {
		o.Requests = 256
	}
	if o.Answer <= 0 {
		o.Answer = 2048
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Requested == nil {
		o.Requested = slog.New(slog.DiscardHandler)
	}
	return o
}
