// Command toolbox builds the small program that runs inside sandboxes (cmd/toolbox)
// for each platform of containers, and packs it into core/inside/built, where a
// build with the tag "embedded" takes it from. It is run at the root of the
// checkout. The same source and Go version give the same bytes.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"daemon-proxy/core/inside"
	"daemon-proxy/core/version"
)

func main() {
	log.SetFlags(0)
	out := flag.String("out", inside.Folder, "folder for the packed programs")
	flag.Parse()
	for _, platform := range inside.Platforms() {
		if err := build(platform, *out); err != nil {
			log.Fatalf("toolbox for %s: %v", platform, err)
		}
	}
}

// build writes the packed program for one platform.
func build(platform, out string) (err error) {
	work, err := os.MkdirTemp("", "daemon-proxy-toolbox-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	goos, goarch, _ := strings.Cut(platform, "/")
	program := filepath.Join(work, "toolbox")
	// What makes it small: no symbols, no HTTP/2, which nobody speaks to a daemon, and no
	// gaps of 32 bytes between functions.
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-buildvcs=auto", //nolint:gosec // our own
		"-tags", "nethttpomithttp2",
		"-ldflags", "-s -w -buildid= -funcalign=16", "-o", program, "./cmd/toolbox")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOARM=7")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, text)
	}
	content, err := os.ReadFile(program) //nolint:gosec // built above
	if err != nil {
		return err
	}
	packed, err := pack(content)
	if err != nil {
		return err
	}
	return write(filepath.Join(out, inside.FileName(platform)), packed)
}

func pack(content []byte) ([]byte, error) {
	build, err := version.Sum(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w.Comment = build
	_, err = w.Write(content)
	err = errors.Join(err, w.Close())
	return packed.Bytes(), err
}

// write replaces a file at once: another build may read it.
func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // a folder of the checkout
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".packing-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
