//go:build !linux

package network

// This file defines the package on systems that have no such network.

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
)

// Net is the network of one namespace. There is none here.
type Net struct{}

func none() error { return fmt.Errorf("network: %w: want Linux, got %s", ErrUnsupported, runtime.GOOS) }

// Open fails.
func Open(Options) (*Net, error) { return nil, none() }

// Supported says that nothing is.
func Supported() Support {
	reason := "want Linux, got " + runtime.GOOS
	return Support{Cut: reason, Loss: reason, Delay: reason}
}

// Reach fails for each probe.
func Reach(_ context.Context, probes []Probe) []Outcome {
	out := make([]Outcome, len(probes))
	for i := range out {
		out[i] = Outcome{Answer: Failed, Error: none().Error()}
	}
	return out
}

// Support says that nothing is supported.
func (*Net) Support() Support { return Supported() }

// Interface is none.
func (*Net) Interface() string { return "" }

// Apply fails.
func (*Net) Apply(context.Context, State) (Report, error) { return Report{}, none() }

// Counters fails.
func (*Net) Counters(context.Context) ([]Counter, error) { return nil, none() }

// AddAddress fails.
func (*Net) AddAddress(netip.Prefix) error { return none() }

// Redirect fails.
func (*Net) Redirect(context.Context, []Redirect) (Redirected, error) { return Redirected{}, none() }

// Close has nothing to do.
func (*Net) Close() error { return nil }
