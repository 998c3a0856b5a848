package docs

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

var (
	update = flag.Bool("update", false, "write promises.md")
	mutate = flag.Bool("mutate", false, "make each change in promises.yaml and check that its test fails")
)

// promise is an entry of promises.yaml.
type promise struct {
	ID      string
	Promise string
	Change  *change
	Open    string
}

// change is a change to the code under which a test fails.
type change struct {
	Package, Test, File, Old, New string
}

func TestPromisesAreCurrentAndTheirTestsExist(t *testing.T) {
	t.Parallel()
	promises, tests := readPromises(t), findTests(t)
	var b strings.Builder
	b.WriteString(`# Promises

Each promise with the tests that hold it and a change to the code that makes one of them fail. This page is generated from
[promises.yaml](promises.yaml) by ` + "`go test ./docs -update`; `go test ./docs -mutate`" + ` makes each change in a copy and checks that the
test fails.

P is about forwarding, M about path mode, H about host mode, B about both, S about safety,
W about a core and the programs that use it.
[SECURITY.md](SECURITY.md#not-promised) lists what is not promised.
`)
	for _, p := range promises {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", p.ID, p.Promise)
		held := tests[p.ID]
		require.False(t, len(held) == 0 && p.Open == "", "%s: a promise has a test, or says why not", p.ID)
		if len(held) == 0 {
			fmt.Fprintf(&b, "Open: %s.\n", p.Open)
		}
		for _, test := range held {
			fmt.Fprintf(&b, "- `%s`\n", test)
		}
		if c := p.Change; c != nil {
			require.Contains(t, held, c.Package+" "+c.Test, p.ID)
			code, err := os.ReadFile(filepath.Join("..", c.File))
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(code), c.Old), "%s: %q in %s", p.ID, c.Old, c.File)
			fmt.Fprintf(&b, "\n`%s` fails if `%s` has `%s` instead of `%s`.\n", c.Test, c.File, orNothing(c.New), c.Old)
		}
	}
	if *update {
		require.NoError(t, os.WriteFile("promises.md", []byte(b.String()), 0o600))
	}
	have, err := os.ReadFile("promises.md")
	require.NoError(t, err)
	const remedy = "run go test ./docs -update"
	require.Equal(t, withoutTests(b.String()), withoutTests(string(have)), remedy)
	for line := range strings.SplitSeq(string(have), "\n") { // a new test may be missing, none may be made up
		if strings.HasPrefix(line, "- `") {
			require.Contains(t, b.String(), line+"\n", remedy)
		}
	}
}

// withoutTests is the page without the names of the tests.
func withoutTests(page string) string {
	return regexp.MustCompile("(?m)^- `.*\n").ReplaceAllString(page, "")
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func TestEachChangeIsNoticed(t *testing.T) {
	if !*mutate {
		t.Skip("it takes minutes: give -mutate")
	}
	for _, p := range readPromises(t) {
		if p.Change == nil {
			continue
		}
		t.Run(p.ID, func(t *testing.T) {
			c := *p.Change
			file, err := filepath.Abs(filepath.Join("..", c.File))
			require.NoError(t, err)
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			requireNoticed(t, c, file, strings.Replace(string(text), c.Old, c.New, 1))
		})
	}
}

// requireNoticed runs a test with another text in the place of a file.
func requireNoticed(t *testing.T, c change, file, text string) {
	t.Helper()
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(changed, []byte(text), 0o600))
	raw, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, raw, 0o600))
	command := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-timeout", "4m", "-overlay", overlay, "-run", "^"+c.Test+"$", "./"+c.Package)
	command.Dir = ".."
	command.Env = append(os.Environ(), "STATICGO_FLAGS=-overlay="+overlay) // the program that the test builds is changed, too
	out, err := command.CombinedOutput()
	require.Error(t, err, "the test passes though the code is changed")
	require.Contains(t, string(out), "--- FAIL: "+c.Test, string(out))
}

func readPromises(t *testing.T) (promises []promise) {
	t.Helper()
	raw, err := os.ReadFile("promises.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(raw, &promises))
	require.NotEmpty(t, promises)
	return promises
}

// findTests are all tests by the ids in their names, as "package name".
func findTests(t *testing.T) map[string][]string {
	t.Helper()
	named := regexp.MustCompile(`(?m)^func (Test((?:[PMHBSW]\d+)+)[A-Z]\w*)\(`)
	id := regexp.MustCompile(`[PMHBSW]\d+`)
	found := map[string][]string{}
	for _, root := range []string{"cmd", "core", "tui"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range named.FindAllStringSubmatch(string(text), -1) {
				for _, name := range id.FindAllString(m[2], -1) {
					found[name] = append(found[name], filepath.ToSlash(filepath.Dir(path))[len("../"):]+" "+m[1])
				}
			}
			return err
		})
		require.NoError(t, err)
	}
	for _, all := range found {
		slices.Sort(all)
	}
	return found
}
