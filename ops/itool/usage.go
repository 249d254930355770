package main

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"itool/ops/config"
)

// parse reads a command line. Its errors say what is wrong, and what was probably meant.
func parse(parser *kong.Kong, args []string) (*kong.Context, error) {
	args = joinNegative(args)
	kctx, err := parser.Parse(args)
	if err == nil {
		return kctx, belowLeast(kctx)
	}
	var p *kong.ParseError
	if !errors.As(err, &p) {
		return nil, err
	}
	return p.Context, explained(err, p.Context, args)
}

// seeHelp names the help of the verb that a command line has chosen, or that of the program.
func seeHelp(kctx *kong.Context) string {
	if verb := verbOf(kctx); verb != "" {
		return "See itool " + verb + " --help."
	}
	return "See itool --help."
}

func verbOf(kctx *kong.Context) string {
	if kctx == nil || kctx.Selected() == nil {
		return ""
	}
	return kctx.Selected().Name
}

var negative = regexp.MustCompile(`^-[0-9]`)

// joinNegative joins a flag and the number below zero behind it, which would be taken for a flag.
func joinNegative(args []string) (out []string) {
	for i, a := range args {
		if a == "--" {
			return append(out, args[i:]...)
		}
		if last := len(out) - 1; negative.MatchString(a) && last >= 0 && isFlag(out[last]) {
			out[last] += "=" + a
			continue
		}
		out = append(out, a)
	}
	return out
}

// isFlag reports whether a word is a long flag without its value.
func isFlag(word string) bool { return strings.HasPrefix(word, "--") && !strings.Contains(word, "=") }

// belowLeast is an error for a number below the least that its flag allows: zero, or what its tag min says.
func belowLeast(kctx *kong.Context) error {
	for _, p := range kctx.Path {
		if p.Flag == nil {
			continue
		}
		f, x, least := p.Flag, 0.0, 0
		if s := f.Tag.Get("min"); s != "" {
			least, _ = strconv.Atoi(s)
		}
		switch v := f.Target; v.Kind() {
		case reflect.Int, reflect.Int64:
			x = float64(v.Int())
		case reflect.Float64:
			x = v.Float()
		}
		shown := any(x)
		if f.Target.Type() == reflect.TypeFor[time.Duration]() {
			shown = time.Duration(f.Target.Int())
		}
		if !(x >= float64(least)) { // NaN is no number either
			return fmt.Errorf("--%s: %v is below %d", f.Name, shown, least)
		}
	}
	return nil
}

// explained adds to an error of the command line what was probably meant.
func explained(err error, kctx *kong.Context, args []string) error {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "unknown flag --"):
		name, _, _ := strings.Cut(strings.TrimPrefix(text, "unknown flag --"), ",")
		if hint := setInstead(name, kctx, args); hint != "" {
			return fmt.Errorf("unknown flag --%s: it is a setting: %s", name, hint)
		}
		if verb := flagOfVerb(name, kctx, args); verb != "" {
			return fmt.Errorf("--%s is a flag of %s and goes behind it: itool %s --%s …", name, verb, verb, name)
		}
	case strings.HasPrefix(text, `expected "<run>`):
		return fmt.Errorf("which run?%s", elsewhere(" In ./"+runsDir+" there are: %s"))
	case strings.HasPrefix(text, `expected "<dataset> ..."`):
		return errors.New("which dataset? Say one file or more; itool synth -o train.jsonl makes one to try")
	case strings.HasPrefix(text, `expected "<`):
		missing := strings.Trim(strings.TrimPrefix(text, "expected "), `"`)
		return fmt.Errorf("%s is missing: itool %s %s", missing, verbOf(kctx), missing)
	case strings.HasPrefix(text, "unexpected argument ") && hasFlag(kctx.Selected(), lastWord(text)):
		return fmt.Errorf("%s, did you mean --%s?", text, lastWord(text))
	case strings.Contains(text, ": stat ") && strings.HasSuffix(text, ": no such file or directory"):
		flag, file, _ := strings.Cut(strings.TrimSuffix(text, ": no such file or directory"), ": stat ")
		return fmt.Errorf("%s %s: there is no such file: check the path", flag, file)
	case strings.HasSuffix(text, " exists but is a directory"):
		return errors.New(strings.TrimSuffix(text, "exists but is a directory") + "is a folder: name a file")
	case strings.HasPrefix(text, "unexpected argument ") && verbOf(kctx) == "":
		return errors.New("there is no command " + strings.TrimPrefix(text, "unexpected argument "))
	}
	return err
}

// lastWord is the word at the end of an error.
func lastWord(text string) string { return text[strings.LastIndexByte(text, ' ')+1:] }

// hasFlag reports whether a command, which may be nil, has a long flag of this name.
func hasFlag(node *kong.Node, name string) bool {
	return node != nil && slices.ContainsFunc(node.Flags, func(f *kong.Flag) bool { return f.Name == name })
}

// flagOfVerb is the command of a line whose flag stands before it; "": there is none.
func flagOfVerb(flag string, kctx *kong.Context, args []string) string {
	if verbOf(kctx) != "" {
		return ""
	}
	for _, node := range kctx.Model.Children {
		if slices.Contains(args, node.Name) && hasFlag(node, flag) {
			return node.Name
		}
	}
	return ""
}

// setInstead says how to give a setting that was given as a flag; "": it is none, or the command takes none.
func setInstead(flag string, kctx *kong.Context, args []string) string {
	node := kctx.Selected()
	if !hasFlag(node, "set") {
		return ""
	}
	word := strings.ReplaceAll(flag, "-", "_")
	if other, ok := namesElsewhere[word]; ok {
		word = other
	}
	value := "VALUE"
	for i, a := range args {
		name, given, joined := strings.Cut(a, "=")
		switch {
		case name != "--"+flag:
		case joined:
			value = given
		case i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"):
			value = args[i+1]
		}
	}
	var hints []string
	for _, setting := range config.Names() {
		if setting == word || strings.HasSuffix(setting, "."+word) {
			hints = append(hints, "--set "+shellQuote(setting+"="+value))
		}
	}
	const most = 3
	return strings.Join(hints[:min(most, len(hints))], " or ")
}

// namesElsewhere are names of our settings in other programs for fine-tuning.
var namesElsewhere = map[string]string{
	"learning_rate": "rate", "lr": "rate", "num_train_epochs": "epochs", "num_epochs": "epochs", "lora_r": "rank",
	"lora_rank": "rank", "lora_alpha": "alpha", "lora_target": "targets", "lora_target_modules": "targets",
	"max_length": "max_tokens", "max_seq_length": "max_tokens", "cutoff_len": "max_tokens",
	"sequence_len":                "max_tokens",
	"per_device_train_batch_size": "batch_size", "micro_batch_size": "batch_size", "max_grad_norm": "clip",
	"num_rounds": "rounds", "iterations": "rounds", "test_size": "test_share", "val_size": "validation_share",
	"simpo_gamma": "gamma", "pref_beta": "beta",
}
