//go:build unix

package enginetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// StaticGo builds a Go command as a static Linux executable for this machine's
// architecture and returns the path of a copy for this test. Target is a package
// path ("daemon-proxy/cmd/daemon-proxy", "./testdata/server") or a .go file, as
// for `go build`. An executable that is up to date, built by this or another
// process, is reused. STATICGO_FLAGS in the environment is its GOFLAGS.
func StaticGo(t testing.TB, target string, tags ...string) string {
	t.Helper()
	absolute := target
	if strings.HasPrefix(target, ".") || strings.HasSuffix(target, ".go") {
		var err error
		absolute, err = filepath.Abs(target)
		require.NoError(t, err)
	}
	key := fmt.Sprintf("%x", sha256.Sum256([]byte(absolute+"\x00"+strings.Join(tags, ","))))[:16]
	return build(t, key, target, tags)
}

// Made is this program as `make build` makes it: with the small one for containers in it.
func Made(t testing.TB) string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	require.NoError(t, err)
	pack := exec.CommandContext(t.Context(), "go", "run", "./deploy/toolbox")
	pack.Dir = strings.TrimSpace(string(root))
	output, err := pack.CombinedOutput()
	require.NoError(t, err, "go run ./deploy/toolbox: %s", output)
	return StaticGo(t, "daemon-proxy/cmd/daemon-proxy", "embedded")
}

// StaticGoSource is StaticGo for the text of one file of package main that
// imports only the standard library.
func StaticGoSource(t testing.TB, source string) string {
	t.Helper()
	key := fmt.Sprintf("%x", sha256.Sum256([]byte(source)))[:16]
	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
	return build(t, key, file, nil)
}

// build runs `go build` into a cache under a lock and copies the result out.
func build(t testing.TB, key, target string, tags []string) string {
	t.Helper()
	defer lock(t, key)()
	cached := filepath.Join(cacheFolder(t), key)

	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", strings.Join(tags, ","), "-o", cached, target)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS="+os.Getenv("STATICGO_FLAGS"))
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "go build %s: %s", target, output)

	own := filepath.Join(t.TempDir(), "static")
	require.NoError(t, copyExecutable(own, cached))
	return own
}

func copyExecutable(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	return writeExecutable(to, in)
}

// WriteExecutable writes a program or a script that the test runs.
func WriteExecutable(t testing.TB, file string, content []byte) {
	t.Helper()
	require.NoError(t, writeExecutable(file, bytes.NewReader(content)))
}

// writeExecutable prevents the process from forking until the file is closed: a
// process that another test forks meanwhile would hold it open for writing until
// its own exec, and a file that is open for writing cannot be run ("text file
// busy").
func writeExecutable(to string, in io.Reader) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}
