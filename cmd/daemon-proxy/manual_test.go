package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/config"
)

var (
	update = flag.Bool("update", false, "write docs/cli.md and docs/configuration.md anew")
	man    = flag.String("man", "", "folder that the man pages are written to")
)

// current holds a page to what the program says.
func current(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(have), "%s is not current: go test ./cmd/daemon-proxy -run Manual -update", path)
}

// commands are all commands that help shows, each before its own.
func commands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" && sub.Name() != "completion" {
			all = append(all, commands(sub)...)
		}
	}
	return all
}

func manualRoot() *cobra.Command {
	root := newRoot(io.Discard, io.Discard)
	root.DisableAutoGenTag = true
	return root
}

func TestManualOfTheCommandsIsCurrent(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`# Commands

This page is made from the program. ` + "`daemon-proxy` alone starts the core and the terminal UI; the other commands talk" + `
to the core that runs: the one of ` + "`--server` or `DAEMON_PROXY_URL`, else the one that `core.json` in the state" + `
directory names. Where none runs, ` + "`sandboxes`, `inject`, `stop`, `eject`, `ports`, `logs`, `preview list` and `preview revoke`" + `
use a core of their own for as long as they last, unless the mode is ` + "`host`" + `; the others say so and exit with 3. The API
key comes from the configuration or ` + "`SECURITY_API_KEY`" + `, never from a flag; it goes to the server that is named, too.
` + "`daemon-proxy completion bash|zsh|fish|powershell`" + ` prints a completion script, which offers the sandboxes and links of
the core that runs; bash needs its package bash-completion for it. ` + "`source <(daemon-proxy completion bash)`" + ` tries it.

| exit code | means |
|---|---|
| 0 | it is done |
| 1 | it failed |
| 2 | flags, variables or the configuration file are wrong |
| 3 | no daemon-proxy runs, or none where it was named, and the command needs one |
`)
	for _, c := range commands(manualRoot()) {
		b.WriteString("\n## " + c.CommandPath() + "\n\n" + c.Short + ".\n\n```text\n" + c.UseLine() + "\n```\n")
		long, _, _ := strings.Cut(c.Long, "\n\nExit codes")
		if long != "" && long != c.Short+"." {
			b.WriteString("\n" + long + "\n")
		}
		if flags := c.NonInheritedFlags().FlagUsages(); flags != "" {
			b.WriteString("\n```text\n" + flags + "```\n")
		}
	}
	current(t, "../../docs/cli.md", b.String())
}

func TestManualOfTheConfigurationIsCurrent(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`# Configuration

This page is made from the program's table of keys. Flags count before environment variables before the file before
defaults. Configurations, variables and flags of the Python service mean the same here.
` + "[config.example.yaml](../config.example.yaml) has every key; `daemon-proxy config show`" + ` prints what counts and where each
value was given. A mistake ends the start with exit code 2 and one line each.

## Which file

The first of these is read, and no other:

1. the file that ` + "`--config`" + ` names;
2. the file that ` + "`DAEMON_PROXY_CONFIG`" + ` names;
3. ` + "`./config.yaml`" + `, if it belongs to you or to root, has one of the sections below and none of another program's;
4. ` + "`$XDG_CONFIG_HOME/daemon-proxy/config.yaml`" + `.

A ` + "`./config.yaml`" + ` that is not used, because it is another program's, say, is ignored with a warning. But protection that was
configured is never ignored. The start ends with exit code 2, and the error names the file, the reason and what to do, if a
` + "`./config.yaml`" + ` that is not used

- sets ` + "`security.enabled` or `security.api_key`, or has a `daemon`" + ` section with one of the keys below;
- cannot be parsed, and a line of it begins with ` + "`security:` or `daemon:`" + `;
- cannot be read at all, or is a directory: Docker makes one where the file to be mounted is missing.

The start also ends if ` + "`./config.yaml` leaves `security.enabled`" + ` out and the file of step 4 has a security section: say in the
first whether the API is to be protected.
`)
	section := ""
	for _, k := range config.Keys() {
		if s, _, _ := strings.Cut(k.Path, "."); s != section {
			section = s
			b.WriteString("\n## " + section + "\n")
		}
		b.WriteString("\n### " + k.Path + "\n\n" + k.Doc + "\n\n")
		facts := []string{"Default: `" + k.Default + "`", "allowed: " + k.Allowed, "variable: `" + k.Env + "`"}
		if k.Default == "" {
			facts[0] = "Default: empty"
		}
		if k.Flag != "" {
			facts = append(facts, "flag: `--"+k.Flag+"`")
		}
		b.WriteString(strings.Join(facts, "; ") + ".\n")
	}
	current(t, "../../docs/configuration.md", b.String())
}

// The man pages are written where -man says, for make man and make release.
func TestManPages(t *testing.T) {
	t.Parallel()
	folder := *man
	if folder == "" {
		folder = t.TempDir()
	}
	require.NoError(t, os.MkdirAll(folder, 0o755))
	require.NoError(t, doc.GenManTree(manualRoot(), &doc.GenManHeader{Section: "1", Source: "daemon-proxy", Manual: "daemon-proxy"}, folder))
	pages, err := filepath.Glob(filepath.Join(folder, "*.1"))
	require.NoError(t, err)
	for i := range pages {
		pages[i] = filepath.Base(pages[i])
	}
	for _, want := range []string{"daemon-proxy.1", "daemon-proxy-preview-create.1", "daemon-proxy-requests.1"} {
		require.True(t, slices.Contains(pages, want), "%s of %v", want, pages)
	}
}
