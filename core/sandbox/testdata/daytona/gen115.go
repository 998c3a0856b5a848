//go:build gen115

package main

import (
	"flag"
	"os"
)

const version = "v0.115.0"

// prepare panics for a directory that does not exist, and ends with 2, as any
// Go program that panics does.
func prepare() {
	dir := flag.String("work-dir", "", "sets the working directory")
	flag.Parse()
	if *dir == "" {
		panic("no --work-dir: the start did not see that there is the flag")
	}
	if err := os.Chdir(*dir); err != nil {
		panic(err)
	}
}
