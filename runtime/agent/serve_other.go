//go:build !linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Serve is possible on Linux only.
func Serve(context.Context, io.ReadWriter, io.Writer, Options) error {
	return fmt.Errorf("agent: it runs inside a Linux container only: %w", errors.ErrUnsupported)
}
