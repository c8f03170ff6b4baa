// Package scenarios holds what ships inside the program: the standard library
// that scenarios load from @std//.
package scenarios

import (
	"embed"
	"io/fs"
)

//go:embed lib/*.star
var files embed.FS

// Std gives the files of @std//, by the names that load knows them by.
func Std() fs.FS {
	std, err := fs.Sub(files, "lib")
	if err != nil {
		panic(err) // "lib" is a valid path
	}
	return std
}
