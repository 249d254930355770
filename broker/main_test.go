//go:build linux

package broker_test

import (
	"flag"
	"log"
	"os"
	"testing"
)

// roleVar makes this test binary a part of the killing tests instead.
const roleVar = "ITOOL_BROKER_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		if err := runRole(role); err != nil {
			log.Fatal(role, ": ", err)
		}
		return
	}
	flag.Parse()
	// These tests wait far more than they work; two at a time would take a minute.
	if err := flag.Set("test.parallel", "12"); err != nil {
		log.Fatal(err)
	}
	os.Exit(m.Run())
}
