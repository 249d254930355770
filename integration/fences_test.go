package integration

import (
	"slices"
	"strings"
	"testing"
)

// fences keeps each technology in one folder. To replace it, or to see how it is used, one
// folder is enough. Tests count too.
var fences = []struct {
	tech   string   // import path prefix
	inside []string // packages, with everything below them
	why    string
}{
	{"github.com/apache/arrow/", []string{"schemas"}, "only schemas knows how rows become bytes"},
	{"go.opentelemetry.io/", []string{"ops/telemetry"}, "only telemetry knows how spans are sent"},
	{"github.com/nats-io/", []string{"broker"}, "only broker knows JetStream"},
	{"github.com/minio/minio-go/", []string{"storage/minio"}, "only storage/minio knows S3"},
	{"gorgonia.org/cu", []string{"stages/policy/kernel/cuda"}, "only the cuda device knows the driver"},
	{"gorgonia.org/", []string{
		"stages/policy/op", "stages/policy/model", "stages/policy/loss", "stages/policy/optim", "stages/policy/train",
	}, "graphs are for training; decoding calls kernels directly"},

	{"github.com/vbauerster/", []string{"ops/progress"}, "only progress draws on terminals"},
	{"github.com/alecthomas/kong", []string{"ops/itool"}, "only the binary has a command line"},
	{"github.com/parquet-go/", []string{"stages/split/format"}, "tests alone: they compare the reader with it"},
	{"google.golang.org/protobuf", []string{"ops/curves", "ops/telemetry"}, "for TensorBoard, and for traces"},
	{"github.com/goccy/go-yaml", []string{"ops/config", "ops/lab"}, "configuration is read in one place"},
}

func TestFences(t *testing.T) {
	for _, p := range packages(t) {
		name := p.name()
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			i := slices.IndexFunc(fences, func(f struct {
				tech   string
				inside []string
				why    string
			}) bool {
				return strings.HasPrefix(imp, f.tech)
			})
			if i < 0 {
				continue
			}
			f := fences[i]
			if !slices.ContainsFunc(f.inside, func(in string) bool { return covers(in, name) }) {
				t.Errorf("%s imports %s; that belongs inside %v: %s", name, imp, f.inside, f.why)
			}
		}
	}
}
