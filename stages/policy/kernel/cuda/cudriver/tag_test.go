//go:build !gpu

package cudriver_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTag builds and tests what has the tag gpu, where `task gpu-driver` has fetched the headers of CUDA.
func TestTag(t *testing.T) {
	root, err := filepath.Abs("../../../../..")
	if err != nil {
		t.Fatal(err)
	}
	headers, err := filepath.Glob(filepath.Join(root, ".cuda/lib/python3*/site-packages/nvidia/cuda_runtime/include"))
	if err != nil || len(headers) == 0 {
		t.Skip("no headers of CUDA in .cuda: task gpu-driver fetches them")
	}
	if testing.Short() {
		t.Skip("short: cgo compiles for half a minute")
	}
	for _, args := range [][]string{
		{"test", "-tags", "gpu", "-count", "1", "./stages/policy/kernel/cuda/cudriver"},
		{"vet", "-tags", "gpu", "./ops/device"},
	} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "CGO_CFLAGS=-I"+headers[0],
			"CGO_LDFLAGS=-L"+filepath.Join(root, "stages/policy/kernel/cuda/cudriver/stub"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %v: %v\n%s", args, err, out)
		}
	}
}
