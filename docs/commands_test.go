package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/wiretest"
)

// mostExempt is how many blocks may go without being run, in all documents.
const mostExempt = 10

// block is a fenced block of commands.
type block struct{ page, reason, script string }

var fenced = regexp.MustCompile("(?ms)^(?:<!-- not run: ([^\n]+?) -->\n+)?```sh\n(.*?)^```$")

func blocks(t *testing.T) []block {
	t.Helper()
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	var all []block
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		found := fenced.FindAllStringSubmatch(string(text), -1)
		require.Len(t, found, strings.Count("\n"+string(text), "\n```sh\n"), "%s: a block is not closed", page)
		for _, m := range found {
			all = append(all, block{page, m[1], m[2]})
		}
	}
	return all
}

func TestFewBlocksOfTheDocumentsAreNotRun(t *testing.T) {
	t.Parallel()
	exempt := 0
	for _, b := range blocks(t) {
		if b.reason != "" {
			exempt++
		}
	}
	require.LessOrEqual(t, exempt, mostExempt)
}

// Every block of commands runs as it stands, on a desk where daemon-proxy runs
// and the container my-sandbox serves something; only that container's name
// and the port 8080 are others, for this machine may have its own.
func TestTheBlocksOfTheDocumentsRun(t *testing.T) {
	t.Parallel()
	enginetest.Require(t)
	wiretest.Program(t, "curl")
	files := enginetest.BusyboxFiles(t)
	files["/service"] = enginetest.File{Path: enginetest.StaticGo(t, "../cmd/daemon-proxy/testdata/service")}
	name := enginetest.Name(t)
	enginetest.Run(t, enginetest.Import(t, files, []string{`CMD ["/service"]`, "ENV PATH=/bin"}), enginetest.RunOptions{Name: name})

	desk := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(desk, "bin"), 0o700))
	require.NoError(t, os.Symlink(enginetest.StaticGo(t, "daemon-proxy/cmd/daemon-proxy"), filepath.Join(desk, "bin", "daemon-proxy")))
	port := strconv.Itoa(wiretest.FreePort(t))
	env := []string{"PATH=" + filepath.Join(desk, "bin") + ":" + os.Getenv("PATH"), "HOME=" + desk, "DOCKER_HOST=" + os.Getenv("DOCKER_HOST"), "TERM=dumb",
		"DAEMON_PROXY_PORT=" + port, "DAEMON_CONTAINER_NAME=" + name, "DAEMON_MODE=docker"}
	program := exec.Command(filepath.Join(desk, "bin", "daemon-proxy"), "--no-tui")
	program.Dir, program.Env = desk, env
	require.NoError(t, program.Start())
	t.Cleanup(func() {
		require.NoError(t, program.Process.Signal(syscall.SIGTERM))
		_ = program.Wait()
	})
	run := func(script string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		shell := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
		shell.Dir, shell.Env = desk, env
		out, err := shell.CombinedOutput()
		return string(out), err
	}
	require.Eventually(t, func() bool {
		out, err := run("daemon-proxy status")
		return err == nil && strings.Contains(out, name) && strings.Contains(out, "healthy") && !strings.Contains(out, "degraded")
	}, time.Minute, 100*time.Millisecond)
	here := strings.NewReplacer("localhost:8080", "localhost:"+port, "my-sandbox", name)
	for _, b := range blocks(t) {
		if b.reason != "" {
			continue
		}
		out, err := run(here.Replace(b.script))
		require.NoError(t, err, "%s:\n%s\n%s", b.page, b.script, out)
		require.NotContains(t, out, "application/problem+json")
		require.NotRegexp(t, `"code":"[a-z_]+"`, out, "%s: a command was answered with a problem:\n%s", b.page, b.script)
	}
}

func TestMakeHelpListsEveryTarget(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../Makefile")
	require.NoError(t, err)
	phony := regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindStringSubmatch(string(makefile))
	require.NotNil(t, phony)
	out, err := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-C", "..", "help").Output()
	require.NoError(t, err)
	for target := range strings.FieldsSeq(phony[1]) {
		require.Regexp(t, "(?m)^make "+target+" +[a-z]", string(out))
	}
}
