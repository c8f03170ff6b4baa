// Command starfall runs Kafka experiments that are written down: a scenario
// says what the cluster looks like, what load runs on it, what breaks and when,
// and what must hold.
//
// This file defines main and what the command gets from its surroundings.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() { os.Exit(run(context.Background(), surroundings())) }

// env is everything that the command has to do with outside of its files.
type env struct {
	args       []string // without the program's name
	stdin      io.Reader
	stdout     io.Writer
	stderr     io.Writer
	getenv     func(string) string
	now        func() time.Time
	interrupts <-chan os.Signal     // Ctrl-C, one value each; nil: none
	terminal   func(io.Writer) bool // whether somebody watches this stream
}

func surroundings() env {
	ignoreFileSizeSignal()
	// Two deep: the second Ctrl-C counts even while the first is being handled.
	interrupts := make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	return env{
		args:       os.Args[1:],
		stdin:      os.Stdin,
		stdout:     os.Stdout,
		stderr:     os.Stderr,
		getenv:     os.Getenv,
		now:        time.Now,
		interrupts: interrupts,
		terminal: func(w io.Writer) bool {
			f, ok := w.(*os.File)
			return ok && term.IsTerminal(int(f.Fd()))
		},
	}
}
