package docs

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	fencedBlock = regexp.MustCompile("(?ms)^```.*?^```$")
	link        = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading     = regexp.MustCompile(`(?m)^#+ (.*)$`)
	floorRow    = regexp.MustCompile(`(?m)^\| ([0-9](?:\.[0-9])?) \| ([^|]+) \|`)
	namedPath   = regexp.MustCompile("`((?:cmd|core|deploy|docs|tui)/[\\w./-]+)`")
	noAnchor    = regexp.MustCompile(`[^\w\- ]`)
)

// Every link to a place of this repository leads to a file that is there, and
// to a heading that the file has.
func TestTheLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	seen := 0
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(fencedBlock.ReplaceAllString(string(text), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			seen++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			content, err := os.ReadFile(target)
			require.NoError(t, err, "%s links to %s", page, m[1])
			if anchor != "" {
				require.Contains(t, anchors(string(content)), anchor, "%s links to %s", page, m[1])
			}
		}
	}
	require.Greater(t, seen, 20)
}

// A path of this repository that a document names is there.
func TestThePathsInTheDocumentsExist(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, page := range []string{"../README.md", "CONTRIBUTING.md", "SECURITY.md", "architecture.md", "deployment.md", "from-python.md", "reach.md"} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range namedPath.FindAllStringSubmatch(string(text), -1) {
			seen++
			_, err := os.Stat(filepath.Join("..", m[1]))
			require.NoError(t, err, "%s names %s", page, m[1])
		}
	}
	require.Greater(t, seen, 30)
}

// anchors are the names that a page's headings are linked by.
func anchors(page string) []string {
	var all []string
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}

// The table of floors names every package, and none imports one of its own
// floor or of a higher one. Plain values (core/api) are for all.
func TestTheFloorsOfTheArchitectureAreTheOnesOfTheCode(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("architecture.md")
	require.NoError(t, err)
	floors := map[string]string{}
	for _, row := range floorRow.FindAllStringSubmatch(string(text), -1) {
		for name := range strings.SplitSeq(row[2], ", ") {
			floors[strings.Trim(name, "`")] = row[1]
		}
	}
	// A package without a row is a part of the one that it is in.
	named := func(name string) string {
		for floors[name] == "" && name != "." {
			name = path.Dir(name)
		}
		return name
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`,
		"./cmd/...", "./core/...", "./tui/...")
	list.Dir = ".."
	out, err := list.Output()
	require.NoError(t, err)
	var seen []string
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		name, _ := strings.CutPrefix(words[0], "daemon-proxy/")
		require.NotEqual(t, ".", named(name), "architecture.md does not name %s", name)
		name = named(name)
		seen = append(seen, name)
		for _, imported := range words[1:] {
			imported, ours := strings.CutPrefix(imported, "daemon-proxy/")
			below := named(imported)
			if ours && below != name && below != "core/api" && path.Dir(below) != name {
				require.Less(t, floors[below], floors[name], "%s imports %s", words[0], imported)
			}
		}
	}
	for name := range floors {
		require.Contains(t, seen, name, "there is no such package")
	}
}
