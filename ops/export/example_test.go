package export_test

import (
	"fmt"
	"io/fs"
	"testing/fstest"

	"itool/ops/export"
)

// A model's folder is read together with an adapter that was exported to another folder.
func ExampleWithAdapter() {
	model := fstest.MapFS{"config.json": {Data: []byte("model")}}
	adapter := fstest.MapFS{export.AdapterConfig: {Data: []byte("adapter")}}

	both := export.WithAdapter(model, adapter)
	for _, name := range []string{"config.json", export.AdapterConfig} {
		text, err := fs.ReadFile(both, name)
		fmt.Println(name, string(text), err)
	}
	// Output:
	// config.json model <nil>
	// adapter_config.json adapter <nil>
}
