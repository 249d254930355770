package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"itool/ops/config"
	"itool/ops/line"
)

// completionCmd is `itool completion`: it prints a script for a shell, which asks this program for each word.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// The scripts. They know nothing of the commands, so that they need not be written again with them.
var (
	//go:embed completion/itool.bash
	completionBash string
	//go:embed completion/itool.zsh
	completionZsh string
	//go:embed completion/itool.fish
	completionFish string
)

func (c *completionCmd) Run(_ context.Context, a *app) error {
	script := map[string]string{"bash": completionBash, "zsh": completionZsh, "fish": completionFish}[c.Shell]
	_, err := io.WriteString(a.out, script)
	return err
}

// completeVerb is how the scripts ask: the words behind the program's name follow, the last of them unfinished.
const completeVerb = "__complete"

// complete prints what the last word may become, one a line; nothing: a file's name, if anything.
func complete(out io.Writer, app *kong.Application, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	for _, c := range candidates(app, words[:len(words)-1], last) {
		if strings.HasPrefix(c, last) {
			fmt.Fprintln(out, c)
		}
	}
}

// candidates are what may stand behind the words before.
func candidates(app *kong.Application, before []string, last string) []string {
	verb, at := chosenVerb(app, before)
	if n := len(before); n > 0 {
		if f := flagOf(app, verb, before[n-1]); f != nil && !f.IsBool() {
			return valuesOf(f)
		}
	}
	if strings.HasPrefix(last, "-") {
		return flagNames(app, verb)
	}
	if verb == nil {
		return verbNames(app)
	}
	if p := positional(app, verb, before[at+1:]); p != nil {
		return argumentsOf(p)
	}
	return nil
}

// chosenVerb is the command among the words, and where it stands; nil: there is none yet.
func chosenVerb(app *kong.Application, words []string) (verb *kong.Node, at int) {
	for i, w := range words {
		if i > 0 {
			if f := flagOf(app, nil, words[i-1]); f != nil && !f.IsBool() {
				continue // the flag's value
			}
		}
		for _, child := range app.Children {
			if child.Name == w {
				return child, i
			}
		}
	}
	return nil, -1
}

// flagOf is the flag that a word names; nil: it names none.
func flagOf(app *kong.Application, verb *kong.Node, word string) *kong.Flag {
	for _, f := range flags(app, verb) {
		if word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) {
			return f
		}
	}
	return nil
}

// flags are those of the command, then those of the program.
func flags(app *kong.Application, verb *kong.Node) (all []*kong.Flag) {
	if verb != nil {
		all = slices.Clone(verb.Flags)
	}
	return append(all, app.Flags...)
}

func flagNames(app *kong.Application, verb *kong.Node) (names []string) {
	for _, f := range flags(app, verb) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	}
	return names
}

func verbNames(app *kong.Application) (names []string) {
	for _, child := range app.Children {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

// valuesOf are values of a flag that can be listed.
func valuesOf(f *kong.Flag) (values []string) {
	switch {
	case f.Name == "set":
		for _, name := range config.Names() {
			values = append(values, name+"=")
		}
	case f.Name == "run":
		values = runNames()
	case f.Name == "device":
		values = []string{"cpu", "cuda:0", "auto"}
	case f.Enum != "":
		values = slices.DeleteFunc(strings.Split(f.Enum, ","), func(v string) bool { return v == "" })
	}
	return values
}

// positional is the argument that comes behind the words of a command; nil: there is none left.
func positional(app *kong.Application, verb *kong.Node, words []string) *kong.Value {
	n := 0
	for i, w := range words {
		if i > 0 {
			if f := flagOf(app, verb, words[i-1]); f != nil && !f.IsBool() {
				continue
			}
		}
		if !strings.HasPrefix(w, "-") {
			n++
		}
	}
	switch all := verb.Positional; {
	case n < len(all):
		return all[n]
	case len(all) > 0 && all[len(all)-1].IsCumulative():
		return all[len(all)-1]
	}
	return nil
}

// argumentsOf are the words that an argument may be, as far as they can be listed.
func argumentsOf(p *kong.Value) []string {
	switch {
	case p.Name == "run":
		return runNames()
	case p.Name == "stage":
		return append(stageNames(line.Stages(nil)), "keeper", "all")
	case p.Enum != "":
		return strings.Split(p.Enum, ",")
	}
	return nil
}

// runNames are the runs of this folder.
func runNames() (names []string) {
	all := localRuns(runsDir)
	if here, err := os.Getwd(); err == nil {
		for _, l := range localRuns(here) { // such as itool-up
			if !slices.Contains([]string{upDir, runsDir}, l.Run) {
				all = append(all, l)
			}
		}
	}
	for _, l := range all {
		if !slices.Contains(names, l.Run) {
			names = append(names, l.Run)
		}
	}
	return names
}
