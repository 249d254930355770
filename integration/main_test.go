package integration

import (
	"os"
	"testing"

	"itool/integration/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }
