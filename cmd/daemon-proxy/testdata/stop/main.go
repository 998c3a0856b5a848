// Command stop stops the bridges in its container, as SIGSTOP does.
package main

import (
	"bytes"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

func main() {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		log.Fatal(err)
	}
	for _, file := range files {
		arguments, err := os.ReadFile(file)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || !bytes.HasSuffix(arguments, []byte("\x00bridge\x00")) {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			log.Fatal(err)
		}
	}
}
