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
	update = flag.Bool("update", false, "write docs/cli.md and docs/configuration.md")
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

This page is generated from the program. ` + "`daemon-proxy` without a command starts the core and the terminal UI. The other commands" + `
talk to a running core: the one named by ` + "`--server` or `DAEMON_PROXY_URL`" + `, otherwise the one named by ` + "`core.json`" + ` in the state
directory. If none is running, ` + "`sandboxes`, `inject`, `stop`, `eject`, `ports`, `logs`, `preview list` and `preview revoke`" + `
start a core of their own for as long as they run, unless the mode is ` + "`host`" + `; the other commands report it and exit with code 3.
The API key for a server that you name comes from ` + "`DAEMON_PROXY_API_KEY`" + `, from the file that ` + "`DAEMON_PROXY_API_KEY_FILE`" + ` names, which
nobody else may be able to use (mode 0600), or else from the configuration or ` + "`SECURITY_API_KEY`" + `; never from a flag.
The core that ` + "`core.json`" + ` names is sent the key of its run, which that file has.

` + "`daemon-proxy completion bash|zsh|fish|powershell`" + ` prints a completion script that also completes the sandboxes and links of the
running core. For bash it needs the package bash-completion; ` + "`source <(daemon-proxy completion bash)`" + ` tries it out.

| exit code | means |
|---|---|
| 0 | success |
| 1 | failure |
| 2 | the flags, variables or configuration file are invalid |
| 3 | the command needs a running daemon-proxy, and none is running, or none at the named address |
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

This page is generated from the program's table of keys. Flags override environment variables, which override the file, which
overrides the defaults. Configuration files, variables and flags of the Python service mean the same here.
` + "[config.example.yaml](../config.example.yaml) has every key, and `daemon-proxy config show`" + ` prints every value and where it
comes from. With an invalid value, the program exits with code 2 and prints one line for each mistake.

Editors complete and check the file with [its schema](config.schema.json). Most read the first line of the example file; otherwise
set the schema in the editor.

## Which file

The program reads the first of these files and no other:

1. the file named by ` + "`--config`" + `;
2. the file named by ` + "`DAEMON_PROXY_CONFIG`" + `;
3. ` + "`./config.yaml`" + `, if it belongs to you or to root, has at least one of the sections below, and has none of another program's;
4. ` + "`$XDG_CONFIG_HOME/daemon-proxy/config.yaml`" + `.

A ` + "`./config.yaml`" + ` that is not used, for example because it belongs to another program, is ignored with a warning. But if somebody
configured protection, it is never ignored: the program exits with code 2, and the error names the file, the reason and what to do,
if a ` + "`./config.yaml`" + ` that is not used

- sets ` + "`security.enabled` or `security.api_key`, or has a `daemon`" + ` section with one of the keys below;
- cannot be parsed and has a line that begins with ` + "`security:`, `security.` and a key, or `daemon:`" + `;
- cannot be read at all, or is a directory (Docker creates one if the file to be mounted is missing).

The program also exits if ` + "`./config.yaml` does not set `security.enabled`" + ` and the file of step 4 has a security section: set it
in the first file, to true or false.
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
