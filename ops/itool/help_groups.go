package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/alecthomas/kong"
)

// verbGroup are commands that stand together in itool --help.
type verbGroup struct {
	title string
	verbs []string
}

// verbGroups has every command once; a test says so.
func verbGroups() []verbGroup {
	return []verbGroup{
		{"Begin", []string{"demo", "run", "resume", "init", "data", "estimate", "doctor"}},
		{"See what a run does and did", []string{
			"report", "watch", "ui", "runs", "examples", "tree", "trace", "failed",
		}},
		{"Use what came of it", []string{"export", "chat", "serve", "eval"}},
		{"Compare", []string{"lab", "fork"}},
		{"Make models and data", []string{"import", "quantize", "synth", "pretrain"}},
		{"On several processes or machines", []string{
			"up", "publish", "work", "cancel", "retire", "quota", "gc", "fsck", "deploy-config", "conform",
		}},
		{"About itool", []string{"completion", "version"}},
	}
}

// setGroups puts the commands into their groups, in their order.
func setGroups(k *kong.Kong) error {
	place := map[string]int{}
	for _, g := range verbGroups() {
		group := &kong.Group{Key: g.title, Title: g.title}
		for _, verb := range g.verbs {
			place[verb] = len(place) + 1
			for _, node := range k.Model.Children {
				if node.Name == verb {
					node.Group = group
				}
			}
		}
	}
	slices.SortStableFunc(k.Model.Children, func(a, b *kong.Node) int { return place[a.Name] - place[b.Name] })
	return nil
}

// sayStart is what itool without a command prints.
func sayStart(w io.Writer) {
	fmt.Fprint(w, `itool fine-tunes language models that call tools: it searches for better answers
to what a model finds hard, and trains it on pairs of right and wrong ones.

  itool demo --quick                        see it work: a small dataset and model
  itool data train.jsonl                    what is in your data
  itool run train.jsonl --base ./my-model   your data, your model
  itool report RUN                          what it gained, and what to do next

itool --help lists all commands, itool COMMAND --help explains one by examples.
`)
}
