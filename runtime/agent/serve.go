package agent

// This file defines what Serve may need.

import (
	"context"
	"encoding/json"
	"net"
	"time"
)

// Service answers a stream that the host opened by name with Agent.Open. It
// gets the request and ends when the stream or ctx does; ctx ends with the
// session. The stream is closed after it. Its error goes to the agent's log.
type Service func(ctx context.Context, stream net.Conn, request json.RawMessage) error

// Options are what Serve may need.
type Options struct {
	// Build is what the host must be of; "" means Build().
	Build string
	// Services are what Agent.Open can open.
	Services map[string]Service
	// Hello is how long the host's first line may take; 0 means 60 s. A host
	// that dies between attaching and starting a container leaves an agent
	// whose stdin never ends.
	Hello time.Duration
}
