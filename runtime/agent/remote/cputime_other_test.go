//go:build !unix

package remote

import "time"

// processorTime is not known here; benchmarks leave its figure out.
func processorTime() time.Duration { return 0 }
