//go:build !unix

// This file defines what of a terminal is not known how to do here.

package main

import (
	"errors"
	"os"
)

func foreground(*os.File) bool { return true }

// reading is not possible here in a way that ends: there are no keys.
func reading(*os.File) (<-chan []byte, func(), error) {
	return nil, nil, errors.New("keys are not read on this system")
}
