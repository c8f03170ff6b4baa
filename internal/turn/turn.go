// Package turn lets tests that put load on a cluster in real time take turns.
// go test runs packages side by side; on two cores one package's load makes
// another's records late, and its runs inconclusive.
package turn

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// M is what *testing.M does.
type M interface {
	Run() int
}

// Taking gives an M that runs m while no other test binary on this machine runs
// one that takes turns, too.
func Taking(m M) M { return taking{m} }

type taking struct{ m M }

func (t taking) Run() int {
	unlock, err := lockedfile.MutexAt(filepath.Join(os.TempDir(), "starfall-tests.lock")).Lock()
	if err != nil {
		fmt.Fprintln(os.Stderr, "turn: cannot wait for other tests:", err)
		return 1
	}
	defer unlock()
	return t.m.Run()
}
