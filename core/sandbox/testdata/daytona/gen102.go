//go:build gen102

package main

import "os"

const version = "v0.102.0"

// prepare knows no flag; it makes the directory that the environment names.
func prepare() {
	dir := os.Getenv("DAYTONA_PROJECT_DIR")
	if dir == "" {
		dir = os.Getenv("HOME")
	}
	if len(os.Args) > 1 {
		panic("this generation takes no arguments")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		panic(err)
	}
	if err := os.Chdir(dir); err != nil {
		panic(err)
	}
}
