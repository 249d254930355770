package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// setExamples puts examples into the help of every command. A test reads each of them as a command line.
func setExamples(k *kong.Kong) error {
	all := examplesOfCommands()
	for _, verb := range k.Model.Children {
		if lines := all[verb.Name]; len(lines) > 0 {
			verb.Detail = "Examples:\n\n    " + strings.Join(lines, "\n    ")
		}
	}
	return nil
}

func examplesOfCommands() map[string][]string {
	return map[string][]string{
		"demo": {"itool demo --quick", "itool demo --quick --dir /tmp/try --set line.rounds=1"},
		"run": {
			"itool run train.jsonl --base ./my-model",
			"itool run train.jsonl:2 more.parquet --validation dev.jsonl --base ./my-model --name first",
			"itool run train.jsonl --config itool.yaml --set line.rounds=2",
		},
		"data": {"itool data train.jsonl", "itool data train.jsonl --against test.jsonl --json"},
		"estimate": {
			"itool estimate train.jsonl --base ./my-model",
			"itool estimate train.jsonl --base ./my-model --rows 64 --price 2.5",
		},
		"publish": {"itool publish train.jsonl --base ./my-model --dir itool-up"},
		"work": {
			"itool work all --dir itool-up",
			"itool work expand filter --broker nats://10.0.0.1:4222 --store disk:/shared/store",
			"itool work expand --workers 0..16 --dir itool-up",
		},
		"up":    {"itool up", "itool up --dir /data/itool --port 4333"},
		"watch": {"itool watch first", "itool watch first --web 127.0.0.1:0"},
		"runs":  {"itool runs", "itool runs --json"},
		"ui":    {"itool ui", "itool ui first"},
		"failed": {
			"itool failed first", "itool failed first --requeue",
		},
		"eval": {
			"itool eval --bench test.jsonl --run first",
			"itool eval --bench bfcl --data bfcl_eval/data --model ./my-model",
			"itool eval --bench test.jsonl --endpoint http://127.0.0.1:8000/v1 --endpoint-model my-model",
		},
		"report": {"itool report first", "itool report first --full", "itool report first --errors"},
		"examples": {
			"itool examples first --wrong", "itool examples first --lost --from warm-up --to 2",
			"itool examples first --type 'parameter value' --limit 3",
		},
		"tree":  {"itool tree first --list --mixed", "itool tree first 0/s0000000-00004"},
		"trace": {"itool trace first 2", "itool trace first itool-runs/first/adapter"},
		"export": {
			"itool export first --out adapter", "itool export first --merged --out model",
			"itool export first --pairs --out pairs.jsonl",
		},
		"import":   {"itool import model.gguf --out model"},
		"quantize": {"itool quantize --model ./my-model --out my-model-nf4"},
		"serve":    {"itool serve first", "itool serve --model ./my-model --listen 127.0.0.1:8001"},
		"chat":     {"itool chat first --tools tools.json", "itool chat --model ./my-model"},
		"lab":      {"itool lab try.yaml --plan", "itool lab try.yaml"},
		"fork":     {"itool fork first --from-round 1 --name second --set update.rate=1e-4"},
		"resume":   {"itool resume first"},
		"gc":       {"itool gc --dir itool-up", "itool gc --dir itool-up --delete"},
		"fsck":     {"itool fsck --dir itool-up --deep"},
		"cancel":   {"itool cancel first"},
		"retire":   {"itool retire first"},
		"quota":    {"itool quota first 8GiB"},
		"doctor":   {"itool doctor", "itool doctor --broker nats://10.0.0.1:4222 --store disk:/shared/store"},
		"deploy-config": {
			"itool deploy-config logins --passwords",
		},
		"conform":    {"itool conform filter -- ./my-filter {broker} {store} {run}"},
		"init":       {"itool init", "itool init --for qwen3-4b"},
		"synth":      {"itool synth -o train.jsonl --rows 500"},
		"pretrain":   {"itool pretrain --out base"},
		"completion": {"itool completion bash", "itool completion zsh", "itool completion fish"},
		"version":    {"itool version", "itool version --json"},
	}
}
