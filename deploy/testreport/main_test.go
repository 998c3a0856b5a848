package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reported is what a module of one test file gives with `go test -json`.
func reported(t *testing.T, files map[string]string) (out string, code int) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.test\n\ngo 1.24\n"
	for name, content := range files {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	raw, _ := cmd.Output() // tests that fail are expected
	var b bytes.Buffer
	require.NoError(t, report(bytes.NewReader(raw), &b))
	return b.String(), cmd.ProcessState.ExitCode()
}

func TestSkippedTestsArePrintedWithTheirReason(t *testing.T) {
	t.Parallel()
	out, code := reported(t, map[string]string{"a/a_test.go": `package a
import "testing"
func TestOne(t *testing.T) { t.Log("not worth a word") }
func TestTwo(t *testing.T) { t.Parallel(); t.Skip("needs a moon") }
func TestThree(t *testing.T) {
	t.Run("part", func(t *testing.T) { t.Skipf("needs a %s", "sun") })
}`, "b/b.go": "package b\n"})
	require.Zero(t, code)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 4, out)
	slices.Sort(lines) // a package without tests is reported at any time
	require.Equal(t, "--- SKIP: TestThree/part: a_test.go:6: needs a sun", lines[0])
	require.Equal(t, "--- SKIP: TestTwo: a_test.go:4: needs a moon", lines[1])
	require.Regexp(t, `^\?\s+\texample.test/b\t\[no test files\]$`, lines[2])
	require.Regexp(t, `^ok\s+\texample.test/a\t[\d.]+s$`, lines[3])
}

func TestAFailureIsPrintedWholeAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body      string
		has, hide []string
	}{
		"a test": {
			body: `func TestBad(t *testing.T) { t.Parallel(); t.Log("before"); t.Run("part", func(t *testing.T) { t.Error("it is broken") }) }
				func TestGood(t *testing.T) { t.Parallel(); t.Log("all is well") }`,
			has:  []string{"--- FAIL: TestBad", "--- FAIL: TestBad/part", "before", "it is broken", "FAIL\texample.test/a"},
			hide: []string{"=== ", "all is well", "ok  \t"},
		},
		"a panic": {
			body: `func TestBad(t *testing.T) { panic("oh") }; func TestNext(t *testing.T) {}`,
			has:  []string{"panic: oh", "goroutine ", "FAIL\texample.test/a"},
		},
		"an exit": {
			body: `func TestBad(t *testing.T) { println("words"); os.Exit(3) }; var _ = os.Args`,
			has:  []string{"words", "FAIL\texample.test/a"},
		},
		"a build": {
			body: `func TestBad(t *testing.T) { return 1 }`,
			has:  []string{"a_test.go:4", "too many return values", "FAIL\texample.test/a [build failed]"},
		},
		"vet": {
			body: `func TestBad(t *testing.T) { t.Logf("%d", "x") }; var _ = os.Args`,
			has:  []string{"a_test.go:4", "wrong type", "FAIL\texample.test/a [build failed]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, code := reported(t, map[string]string{"a/a_test.go": "package a\nimport \"testing\"\nimport \"os\"\n" + c.body + "\nvar _ = os.Args\n"})
			require.NotZero(t, code, out)
			require.Equal(t, 1, strings.Count(out, "FAIL\texample.test/a"), out)
			for _, want := range c.has {
				require.Contains(t, out, want)
			}
			for _, no := range c.hide {
				require.NotContains(t, out, no)
			}
		})
	}
}

func TestWhatIsNotAnEventIsPassedOn(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, report(strings.NewReader("go: downloading x v1\n{\"a\": 1}\nno newline"), &b))
	require.Equal(t, "go: downloading x v1\n{\"a\": 1}\nno newline", b.String())
}
