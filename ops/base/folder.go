package base

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"itool/stages/policy/model"
	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
)

// complete checks that a folder has every part of a base.
func complete(dir string) error {
	fsys := os.DirFS(dir)
	var missing []string
	for _, name := range []string{"config.json", tokenizer.File} {
		if !has(dir, name) {
			missing = append(missing, name)
		}
	}
	weights, err := model.WeightFiles(fsys)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		missing = append(missing, "model.safetensors")
	case err != nil:
		return err
	}
	for _, name := range weights {
		if !has(dir, name) {
			missing = append(missing, name)
		} else if isPointer(dir, name) {
			return fmt.Errorf("%s is a pointer of Git LFS, not the file itself: run git lfs pull in the folder", name)
		}
	}
	// Whether a template works shows when the base is opened.
	if _, err := template.Open(fsys); errors.Is(err, fs.ErrNotExist) {
		missing = append(missing, "a chat template ("+template.File+", or chat_template in "+template.ConfigFile+")")
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("it lacks %s%s", strings.Join(missing, ", "), remedy(dir, missing))
}

// remedy guesses from what a folder has how it came to lack something.
func remedy(dir string, missing []string) string {
	only := func(part string) bool { return len(missing) == 1 && strings.HasPrefix(missing[0], part) }
	switch {
	case has(dir, "snapshots"): // the cache of huggingface_hub
		if found, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*", "config.json")); len(found) > 0 {
			return ": name the folder of a snapshot, " + filepath.Dir(found[len(found)-1])
		}
	case first(dir, "*.gguf") != "":
		return ": name the GGUF file itself, " + first(dir, "*.gguf")
	case has(dir, "adapter_config.json") && !has(dir, "config.json"):
		return ": it is an adapter, and a base is a whole model: name the run that trained the adapter, or merge it " +
			"first (itool export --merged)"
	case only("model.safetensors") && first(dir, "*.bin")+first(dir, "*.pth") != "":
		return ": its weights are " + filepath.Base(first(dir, "*.bin")+first(dir, "*.pth")) + ", which can run code " +
			"when it is opened and is not read: take the safetensors of the same model"
	case only(tokenizer.File) && has(dir, "tokenizer.model"):
		return ": it has a SentencePiece tokenizer, tokenizer.model, which is not supported (byte-level BPE is)"
	case only("a chat template"):
		return ": take the model's instruct version, or write a template into " + filepath.Join(dir, template.File)
	}
	return ": fetch the whole model, hf download ORG/MODEL --local-dir " + dir
}

func has(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// first is the first file in dir that matches, or empty.
func first(dir, pattern string) string {
	found, _ := filepath.Glob(filepath.Join(dir, pattern))
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// isPointer tells whether Git wrote the file of a repository whose large files were not fetched.
func isPointer(dir, name string) bool {
	st, err := os.Stat(filepath.Join(dir, name))
	if err != nil || st.Size() > 1024 {
		return false
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	return err == nil && strings.HasPrefix(string(text), "version https://git-lfs.github.com/")
}
