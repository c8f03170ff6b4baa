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
	interrupts func() <-chan os.Signal // from now on Ctrl-C comes here instead of ending the process; nil: never
	terminal   func(io.Writer) bool    // whether somebody watches this stream
	// console takes the terminal that this stream is for a screen; false when it
	// cannot be had. nil: never.
	console func(io.Writer) (console, bool)
}

func surroundings() env {
	ignoreFileSizeSignal()
	return env{
		args:   os.Args[1:],
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		getenv: os.Getenv,
		now:    time.Now,
		interrupts: func() <-chan os.Signal {
			// Two deep: the second Ctrl-C counts even while the first is being handled.
			c := make(chan os.Signal, 2)
			signal.Notify(c, os.Interrupt, syscall.SIGTERM)
			return c
		},
		terminal: func(w io.Writer) bool {
			f, ok := w.(*os.File)
			return ok && term.IsTerminal(int(f.Fd()))
		},
		console: func(w io.Writer) (console, bool) { return openConsole(w, os.Stdin) },
	}
}
