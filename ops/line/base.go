package line

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"itool/stages/policy/model"
	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
)

// besidesWeights are the files of a base other than its weights: what the engine reads, what other
// programs read of the same model when it is exported, and its licence. None of them needs to be there.
var besidesWeights = []string{
	"config.json", "generation_config.json",
	tokenizer.File, template.ConfigFile, "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
	template.File, template.ToolFile, template.ProcessorFile,
	"adapter_config.json", "adapter_model.safetensors",
	"LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt",
}

// onlyBase is a folder without what does not belong to a base. Folders of models often hold the same
// weights a second time in other formats, pictures, and results of training: a run would store them all.
func onlyBase(fsys fs.FS) (fs.FS, error) {
	names, err := model.WeightFiles(fsys)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range besidesWeights {
		switch st, err := fs.Stat(fsys, name); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case !st.IsDir():
			names = append(names, name)
		}
	}
	return onlyFiles{fsys, names}, nil
}

// onlyFiles is a folder with some of its files, and the folders that they are in.
type onlyFiles struct {
	fs.FS
	names []string
}

func (o onlyFiles) Open(name string) (fs.File, error) {
	for _, n := range o.names {
		if name == "." || n == name || strings.HasPrefix(n, name+"/") {
			return o.FS.Open(name)
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadDir lists the files and folders in the order of their names.
func (o onlyFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	in := name + "/"
	if name == "." {
		in = ""
	}
	children := map[string]bool{}
	for _, n := range o.names {
		if rest, ok := strings.CutPrefix(n, in); ok {
			first, _, _ := strings.Cut(rest, "/")
			children[in+first] = true
		}
	}
	var all []fs.DirEntry
	for _, child := range slices.Sorted(maps.Keys(children)) {
		st, err := fs.Stat(o.FS, child)
		if err != nil {
			return nil, err
		}
		all = append(all, fs.FileInfoToDirEntry(st))
	}
	return all, nil
}
