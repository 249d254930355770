package template

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// The files that Open reads. The template is in a file of its own, else in the file of a processor,
// else in the tokenizer's settings, which name the first and last token in any case.
const (
	File          = "chat_template.jinja"
	ToolFile      = "additional_chat_templates/tool_use.jinja"
	ProcessorFile = "chat_template.json"
	ConfigFile    = "tokenizer_config.json"
)

// Names in a list of templates, as transformers chooses them: toolUse where a conversation has tools.
const (
	plainName = "default"
	toolUse   = "tool_use"
)

// settings are what tokenizer_config.json says of templates.
type settings struct {
	Template json.RawMessage `json:"chat_template"`
	BOS      specialToken    `json:"bos_token"`
	EOS      specialToken    `json:"eos_token"`
	Unknown  specialToken    `json:"unk_token"`
	Padding  specialToken    `json:"pad_token"`
	Between  specialToken    `json:"sep_token"`
	Class    specialToken    `json:"cls_token"`
	Mask     specialToken    `json:"mask_token"`
	AddBOS   bool            `json:"add_bos_token"`
}

// Open reads a model folder's template, or templates: transformers allows one for conversations with tools
// and one for others.
func Open(fsys fs.FS) (*Template, error) {
	var c settings
	if err := readJSON(fsys, ConfigFile, &c); err != nil {
		return nil, err
	}
	sources, name, err := find(fsys, c)
	if err != nil {
		return nil, err
	}
	t, err := build(sources, string(c.BOS), string(c.EOS))
	if err != nil {
		return nil, fmt.Errorf("template: %s: %w", name, err)
	}
	t.addBOS = c.AddBOS
	t.tokens = map[string]specialToken{
		"unk_token": c.Unknown, "pad_token": c.Padding, "sep_token": c.Between, "cls_token": c.Class,
		"mask_token": c.Mask,
	}
	return t, nil
}

// build compiles the templates of a model by name.
func build(sources map[string]string, bos, eos string) (*Template, error) {
	tool, ok := sources[toolUse]
	if !ok {
		return New(sources[plainName], bos, eos)
	}
	t, err := New(tool, bos, eos)
	if err != nil {
		return nil, err
	}
	plain, ok := sources[plainName]
	if !ok {
		return t, nil
	}
	p, err := New(plain, bos, eos)
	if err != nil {
		return nil, err
	}
	t.plain = p.jinja
	sum := sha256.Sum256([]byte(t.hash + p.hash))
	t.hash = hex.EncodeToString(sum[:])
	return t, nil
}

// find returns the model's templates by name, and the file that they are from.
func find(fsys fs.FS, c settings) (sources map[string]string, name string, err error) {
	text, err := fs.ReadFile(fsys, File)
	switch {
	case err == nil:
		sources = map[string]string{plainName: string(text)}
		tool, err := fs.ReadFile(fsys, ToolFile)
		if err == nil {
			sources[toolUse] = string(tool)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, "", fmt.Errorf("template: %w", err)
		}
		return sources, File, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, "", fmt.Errorf("template: %w", err)
	}
	var processor struct {
		Template json.RawMessage `json:"chat_template"`
	}
	if err := readJSON(fsys, ProcessorFile, &processor); err != nil {
		return nil, "", err
	}
	name, value := ProcessorFile, processor.Template
	if len(value) == 0 {
		name, value = ConfigFile, c.Template
	}
	if len(value) == 0 || string(value) == "null" {
		return nil, "", fmt.Errorf("template: the model has no chat template: neither %s nor chat_template in %s or "+
			"%s; write the template of the model's makers into %s: %w",
			File, ProcessorFile, ConfigFile, File, fs.ErrNotExist)
	}
	if sources, err = named(value); err != nil {
		return nil, "", fmt.Errorf("template: %s: chat_template: %w", name, err)
	}
	return sources, name, nil
}

// named reads a template, or a list of templates with names.
func named(value json.RawMessage) (map[string]string, error) {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return map[string]string{plainName: text}, nil
	}
	var list []struct{ Name, Template string }
	if err := json.Unmarshal(value, &list); err != nil {
		return nil, fmt.Errorf("neither a text nor a list of names and templates; write the one to use into %s", File)
	}
	sources, names := map[string]string{}, []string{}
	for _, entry := range list {
		sources[entry.Name] = entry.Template
		names = append(names, entry.Name)
	}
	if _, ok := sources[plainName]; ok {
		return sources, nil
	}
	if _, ok := sources[toolUse]; ok {
		return sources, nil
	}
	return nil, fmt.Errorf("a list of %q: none is called %q or %q; write the one to use into %s",
		names, plainName, toolUse, File)
}

// readJSON reads a file into v; without the file v stays as it is.
func readJSON(fsys fs.FS, name string, v any) error {
	data, err := fs.ReadFile(fsys, name)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("template: %s: %w", name, err)
	}
	return nil
}

// specialToken is a text, or an object with its content.
type specialToken string

func (s *specialToken) UnmarshalJSON(data []byte) error {
	var object struct {
		Content string `json:"content"`
	}
	if len(data) > 0 && data[0] == '{' {
		err := json.Unmarshal(data, &object)
		*s = specialToken(object.Content)
		return err
	}
	return json.Unmarshal(data, (*string)(s)) // null: none
}
