package explore

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets garbage wait: a schedule's World is a few megabytes, so that at the default
// the collector would run hundreds of times a second, and its write barriers with it.
func TestMain(m *testing.M) {
	debug.SetGCPercent(2000)
	os.Exit(m.Run())
}
