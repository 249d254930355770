// Package apibank judges answers to API-Bank's questions of levels 1 and 2, as the evaluator of the original does.
//
// An answer is right if it calls the right API and what the API returns is, by the API's own rule, what the
// dialogue recorded. The APIs run here, on a copy of the benchmark's databases that each answer has for itself.
// Dictionary, SearchEngine, ToolSearcher and Translate need the internet or another model: of their calls only
// name and arguments are compared, and the verdict says so.
//
// The package opens no files but those of the databases, and knows no model.
//
//	db, err := apibank.ReadDatabases(os.DirFS("api-bank/init_database"))
//	truths, err := apibank.ReadDialogue(file)
//	verdict := apibank.Judge("[GetToday()]", truths[0], db)
//
// # Differences from the original
//
// An exception that ends the program of the original is a wrong answer of the category Raises. IDs and tokens that
// the original draws at random are fixed. The texts of exceptions are our own, except for times that do not parse:
// no recorded result has one. Digits other than 0 to 9 are none.
package apibank

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// Category is the original's name for what is wrong with an answer.
type Category string

// The categories of evaluator_by_json.py, and two of our own.
const (
	Correct          Category = "CORRECT"
	NoCall           Category = "NO_API_CALL"
	NameMismatch     Category = "API_NAME_MISMATCH"
	InvalidParameter Category = "INVALID_INPUT_PARAMETER"
	MissingArgument  Category = "MISS_INPUT_ARGUMENT"
	KeyError         Category = "KEY_ERROR" // the recorded result lacks what the rule compares
	HasException     Category = "HAS_EXCEPTION"
	OutputMismatch   Category = "OUTPUT_MISMATCH"
	InputMismatch    Category = "INPUT_MISMATCH"
	Uncounted        Category = "UNCOUNTED" // wrong, but in none of the original's categories
	Raises           Category = "RAISES"    // the original ends here
)

// Verdict is what became of an answer.
type Verdict struct {
	Correct  bool
	Category Category
	Executed bool   // false: name and arguments were compared, because the API cannot run here
	Why      string // for people; "" if it is right
}

// Truth is a call of a dialogue with what it returned.
type Truth struct {
	Name   string
	Args   *python.Dict // as the dialogue has them
	Result *python.Dict // input, output, exception
}

// Databases are the benchmark's, by name.
type Databases map[string]python.Value

// maxFile limits one file of the benchmark; its largest has 2.5 MB.
const maxFile = 64 << 20

// ReadDatabases reads the folder init_database.
func ReadDatabases(dir fs.FS) (Databases, error) {
	names, err := fs.Glob(dir, "*.json")
	if err != nil {
		return nil, err
	}
	db := Databases{}
	for _, name := range names {
		data, err := readFile(dir, name)
		if err != nil {
			return nil, err
		}
		if db[strings.TrimSuffix(path.Base(name), ".json")], err = python.ParseJSON(data); err != nil {
			return nil, fmt.Errorf("apibank: %s: %w", name, err)
		}
	}
	for name, a := range apis {
		if _, ok := db[a.database]; a.database != "" && !ok {
			return nil, fmt.Errorf("apibank: the database of %s is missing: %s.json", name, a.database)
		}
	}
	return db, nil
}

func readFile(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("apibank: %s has more than %d bytes", name, maxFile)
	}
	return data, err
}

// ReadDialogue reads the calls of a dialogue, one message a line, by the numbers of the questions that ask for them.
// The original asks two questions for call i: 2·i for the call and 2·i + 1 for the message that follows it, which may
// be a call again. Errors name the line.
func ReadDialogue(r io.Reader) (map[int]Truth, error) {
	all, calls, followed := map[int]Truth{}, 0, false
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxFile)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		t, called, err := readTruth(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("apibank: line %d: %w", n, err)
		}
		if called {
			if followed {
				all[2*calls-1] = t
			}
			all[2*calls] = t
			calls++
		}
		followed = called
	}
	return all, lines.Err()
}

func readTruth(line []byte) (t Truth, called bool, err error) {
	var in struct {
		Role   string          `json:"role"`
		Name   string          `json:"api_name"`
		Args   json.RawMessage `json:"param_dict"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(line, &in); err != nil || in.Role != "API" {
		return t, false, err
	}
	t.Name = in.Name
	if t.Args, err = object("param_dict", in.Args); err != nil {
		return t, false, err
	}
	if t.Result, err = object("result", in.Result); err != nil {
		return t, false, err
	}
	for _, key := range []string{"output", "exception"} {
		if _, ok := t.Result.Get(key); !ok {
			return t, false, fmt.Errorf("result: %s is missing", key)
		}
	}
	if _, known := apis[t.Name]; !known {
		return t, false, fmt.Errorf("api_name: there is no API %q", t.Name)
	}
	return t, true, nil
}

func object(field string, raw json.RawMessage) (*python.Dict, error) {
	v, err := python.ParseJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	d, ok := v.(*python.Dict)
	if !ok {
		return nil, fmt.Errorf("%s: want an object, got a %s", field, python.TypeName(v))
	}
	return d, nil
}
