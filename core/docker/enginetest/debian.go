//go:build unix

package enginetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"
)

// debianWithin bounds the time to make a Debian image: packages are downloaded.
const debianWithin = 8 * time.Minute

// debianSuite is the release that Debian's images are made of.
const debianSuite = "bookworm"

// Debian returns an image with these packages of Debian and their dependencies,
// unpacked by mmdebstrap from the mirror that this machine uses; their
// installation scripts are not run.
//
// The image is kept when the test ends, under a name derived from its content,
// so that later calls for the same packages find it. Without mmdebstrap, or
// without a mirror that answers, the test is skipped, or fails with CI=true.
func Debian(t testing.TB, packages ...string) string {
	t.Helper()
	cli := dockerClient(t)
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", bootstrapArgs(packages)))
	name := fmt.Sprintf("dp-test-debian-%x", sum[:8])
	defer lock(t, name)()
	call, cancel := call(t)
	defer cancel()
	if _, err := cli.ImageInspect(call, name); err == nil {
		return name
	}
	tool, err := exec.LookPath("mmdebstrap")
	if err != nil {
		unavailable(t, "mmdebstrap is needed (Debian: mmdebstrap): "+err.Error())
	}
	ctx, cancel := context.WithTimeout(t.Context(), debianWithin)
	defer cancel()
	started := time.Now()
	if err := bootstrap(ctx, cli, tool, name, packages); err != nil {
		unavailable(t, fmt.Sprintf("make a Debian image: %v", err))
	}
	t.Logf("made %s in %v", name, time.Since(started).Round(time.Second))
	return name
}

// bootstrap pipes mmdebstrap's tar into the engine.
func bootstrap(ctx context.Context, cli *client.Client, tool, name string, packages []string) error {
	cmd := exec.CommandContext(ctx, tool, bootstrapArgs(packages)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it cleans up after itself
	cmd.WaitDelay = 30 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	archive, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	id, err := importTar(ctx, cli, io.MultiReader(archive)) // must not be closed before it is drained
	_, drained := io.Copy(io.Discard, archive)
	if err := errors.Join(err, drained, cmd.Wait()); err != nil {
		return fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	return cli.ImageTag(ctx, id, name) // only a complete one gets the name
}

// bootstrapArgs are the arguments for a tar on standard output.
func bootstrapArgs(packages []string) []string {
	args := []string{
		"--quiet", "--variant=extract", "--format=tar", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
		"--include=" + strings.Join(append([]string{"base-files", "base-passwd", "dash", "bash", "coreutils"}, packages...), ","),
		// What the scripts of base-passwd and dash would have made.
		`--extract-hook=cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd" && cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"`,
		`--extract-hook=test -e "$1/bin/sh" || ln -s dash "$1/bin/sh"`,
		`--extract-hook=mkdir -p "$1/tmp" && chmod 1777 "$1/tmp"`,
		`--extract-hook=rm -rf "$1/usr/share/doc" "$1/usr/share/man" "$1/usr/share/locale" "$1/var/cache/apt/archives" "$1/var/lib/apt/lists"`,
		debianSuite, "-",
	}
	if mirror := debianMirror(); mirror != "" {
		args = append(args, mirror)
	}
	return args
}

// importTar makes an image of a tar and returns its id.
func importTar(ctx context.Context, cli *client.Client, archive io.Reader) (string, error) {
	body, err := cli.ImageImport(ctx, image.ImportSource{Source: archive, SourceName: "-"}, "", image.ImportOptions{
		Changes: []string{"LABEL " + Label + "=1", "ENV PATH=/usr/bin:/bin"},
	})
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }() // only read
	answer, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	_, id, ok := strings.Cut(string(answer), "sha256:")
	if !ok || len(id) < 64 {
		return "", fmt.Errorf("import: %s", answer)
	}
	return "sha256:" + id[:64], nil
}

// debianMirror returns the first mirror in this machine's own list, or "" if it
// is not a Debian: then mmdebstrap chooses.
func debianMirror() string {
	for _, list := range []string{"/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"} {
		text, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(text)) {
			if strings.HasPrefix(field, "http") && strings.HasSuffix(strings.TrimSuffix(field, "/"), "/debian") && !strings.Contains(field, "snapshot") {
				return field
			}
		}
	}
	return ""
}

// lock takes a lock that is shared by all tests, in this and other processes;
// the result unlocks.
func lock(t testing.TB, name string) (unlock func()) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(cacheFolder(t), name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(file.Fd()), syscall.LOCK_EX))
	return func() { _ = file.Close() } // unlocks
}

func cacheFolder(t testing.TB) string {
	t.Helper()
	base, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(base, "daemon-proxy-test")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	return dir
}
