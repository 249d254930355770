//go:build linux

package broker_test

import (
	"flag"
	"log"
	"os"
	"testing"
)

// roleVar is set in the child processes of TestKill: the test binary then plays that role
// instead of running the tests.
const roleVar = "ITOOL_BROKER_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		if err := runRole(role); err != nil {
			log.Fatal(role, ": ", err)
		}
		return
	}
	flag.Parse()
	// These tests mostly wait. With the default of one per core they would take a minute.
	if err := flag.Set("test.parallel", "12"); err != nil {
		log.Fatal(err)
	}
	os.Exit(m.Run())
}
