package eval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/apibank"
	"itool/schemas/toolcall/bfcl"
	"itool/stages/policy"
	"itool/stages/split"
	"itool/stages/split/format"
)

// bankPrefix begins the names of API-Bank's files and categories.
const bankPrefix = "apibank_"

// bankProtocol is for people who read the scores beside others.
const bankProtocol = "API-Bank: each call of the dialogues of levels 1 and 2 is asked once, with the messages " +
	"before it; calls and results stand where the model's chat template or endpoint puts them; tools are in the " +
	"order of their names (the original has the order of a Python set); calls run on the original's databases, " +
	"fresh for each, and the original's rules compare the results; of Dictionary, SearchEngine, ToolSearcher and " +
	"Translate (unexecuted) name and arguments are compared; answers in words and level 3 are not asked"

// bankLevels are the levels with the folders of their dialogues.
var bankLevels = map[string]string{"level_1": "level-1-given-desc", "level_2": "level-2-toolsearcher"}

// bankQuestion is what judges an answer to a question of API-Bank.
type bankQuestion struct {
	truth     apibank.Truth
	databases apibank.Databases
}

// APIBank reads the questions of a folder of API-Bank; categories chooses level_1 or level_2, and none means both.
func (o Options) APIBank(ctx context.Context, dir string, categories []string) ([]File, error) {
	for _, c := range categories {
		if bankLevels[c] == "" {
			return nil, fmt.Errorf("API-Bank has no category %s; it has level_1, level_2", c)
		}
	}
	db, err := apibank.ReadDatabases(os.DirFS(filepath.Join(dir, "init_database")))
	if err != nil {
		return nil, fmt.Errorf("%s: give the folder api-bank of github.com/AlibabaResearch/DAMO-ConvAI: %w", dir, err)
	}
	var files []File
	for _, level := range []string{"level_1", "level_2"} {
		if len(categories) > 0 && !slices.Contains(categories, level) {
			continue
		}
		f := File{Name: bankPrefix + level, Protocol: bankProtocol}
		path := filepath.Join(dir, "test-data", strings.ReplaceAll(level, "_", "-")+"-api.json")
		dialogues := filepath.Join(dir, "lv1-lv2-samples", bankLevels[level])
		if err := f.readBank(ctx, path, dialogues, db); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		f.Cases = spread(f.Cases, o.Most)
		files = append(files, f)
	}
	return files, nil
}

// bankRow names the question of a row.
type bankRow struct {
	File string `json:"file"`
	ID   int    `json:"id"`
}

// readBank reads a file of questions.
func (f *File) readBank(ctx context.Context, path, dialogues string, db apibank.Databases) error {
	cfg := split.Default()
	src, err := cfg.Options().OpenFile(path)
	if err != nil {
		return err
	}
	defer src.Close()
	truths, n := map[string]map[int]apibank.Truth{}, 0
	for raw, err := range src.Rows(ctx) {
		if err != nil {
			return err
		}
		var at bankRow
		if err := json.Unmarshal(raw.Bytes, &at); err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
		if truths[at.File] == nil {
			if truths[at.File], err = readDialogue(dialogues, at.File); err != nil {
				return fmt.Errorf("row %d: file: %w", n, err)
			}
		}
		truth, ok := truths[at.File][at.ID]
		if !ok {
			return fmt.Errorf("row %d: id: %s has no question %d for a call", n, at.File, at.ID)
		}
		f.addBank(cfg.Options().Parse(raw, src.Format), at, &bankQuestion{truth, db})
		n++
	}
	if n == 0 {
		return errors.New("it has no rows")
	}
	return nil
}

func readDialogue(dir, name string) (map[int]apibank.Truth, error) {
	if name == "" || name != filepath.Base(name) {
		return nil, fmt.Errorf("%q is no name of a dialogue", name)
	}
	d, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the dialogue %s is missing in %s", name, dir)
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	truths, err := apibank.ReadDialogue(d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return truths, nil
}

// addBank adds a question: the messages of a row without the last, which is the answer.
func (f *File) addBank(row format.Row, at bankRow, q *bankQuestion) {
	c := Case{ID: fmt.Sprintf("%s-%d", strings.TrimSuffix(at.File, ".jsonl"), at.ID), bank: q}
	c.Example = schemas.Example{
		ID: f.Name + "/" + c.ID, Part: schemas.PartTest, Category: f.Name, Calls: 1, Tools: sortedTools(row.Tools),
	}
	if !apibank.Runs(q.truth.Name) {
		c.Example.Category += "_unexecuted"
	}
	if row.Err != nil || len(row.Messages) < 2 {
		c.Refused = fmt.Sprintf("it asks nothing: %v", row.Err)
	} else {
		c.Example.Messages = bankMessages(row.Messages[:len(row.Messages)-1])
	}
	f.Cases = append(f.Cases, c)
}

// bankMessages writes messages as chat templates want them, with the calls in the notation that API-Bank asks for.
func bankMessages(all []format.Message) string {
	messages := make([]policy.Message, len(all))
	for i, m := range all {
		messages[i] = policy.Message{Role: m.Role, Content: m.Content}
		if len(m.Calls) > 0 {
			messages[i].Content = toolcall.Pythonic.PrintTurn(toolcall.Turn{Words: m.Content, Calls: m.Calls})
		}
	}
	text, err := json.Marshal(messages)
	if err != nil {
		return "" // texts are always JSON
	}
	return string(text)
}

// sortedTools puts tools into the order of their names.
func sortedTools(tools json.RawMessage) string {
	var all []json.RawMessage
	if json.Unmarshal(tools, &all) != nil {
		return string(tools) // asking with them says what is wrong
	}
	slices.SortStableFunc(all, func(a, b json.RawMessage) int { return strings.Compare(toolName(a), toolName(b)) })
	sorted, err := json.Marshal(all)
	if err != nil {
		return string(tools)
	}
	return string(sorted)
}

func toolName(tool json.RawMessage) string {
	var t struct{ Name string }
	_ = json.Unmarshal(tool, &t) // a tool without a name comes first
	return t.Name
}

// bankTypes are the paper's types of errors for API-Bank's categories.
var bankTypes = map[apibank.Category]bfcl.ErrorType{
	apibank.NoCall: bfcl.CodeSyntax, apibank.NameMismatch: bfcl.ToolName,
	apibank.InvalidParameter: bfcl.ParameterName, apibank.MissingArgument: bfcl.ParameterCount,
	apibank.HasException: bfcl.ParameterValue, apibank.InputMismatch: bfcl.ParameterValue,
	apibank.OutputMismatch: bfcl.ParameterValue, apibank.Uncounted: bfcl.ParameterValue,
}

// judge judges an answer.
func (q *bankQuestion) judge(v *schemas.Verdict) {
	r := apibank.Judge(v.Answer, q.truth, q.databases)
	v.Parsed, v.Pass = r.Category != apibank.NoCall, r.Correct
	if v.ErrorType = ""; r.Correct {
		return
	}
	v.ErrorName = "apibank:" + string(r.Category)
	v.ErrorType = string(bankTypes[r.Category])
	if v.ErrorType == "" {
		v.ErrorType = string(bfcl.Other)
	}
}
