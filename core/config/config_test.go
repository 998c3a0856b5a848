package config

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write config.example.yaml and docs/config.schema.json")

const exampleFile = "../../config.example.yaml"

// loadFile loads a configuration file of that text, with no other source.
func loadFile(t *testing.T, text string, env map[string]string) (Config, string, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	c, err := Load(Options{WorkDir: dir, Env: func(name string) (string, bool) {
		switch name {
		case "DAEMON_PROXY_CONFIG":
			return file, true
		case "HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME":
			return dir, true
		}
		value, ok := env[name]
		return value, ok
	}})
	return c, dir, err
}

func TestTheExampleFileIsCurrentAndLoadsToTheDefaults(t *testing.T) {
	var want bytes.Buffer
	require.NoError(t, writeExample(&want))
	if *update {
		require.NoError(t, os.WriteFile(exampleFile, want.Bytes(), 0o600))
	}
	have, err := os.ReadFile(exampleFile)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(have), "run go test ./core/config -update")
	c, _, err := loadFile(t, string(have), nil)
	require.NoError(t, err)
	d := Defaults()
	assert.Equal(t, d.Server, c.Server)
	assert.Equal(t, d.Daemon, c.Daemon)
	assert.Equal(t, d.Docker, c.Docker)
	assert.Equal(t, d.Security.Enabled, c.Security.Enabled)
	assert.Equal(t, d.Traffic, c.Traffic)
	assert.Equal(t, d.Logging.Format, c.Logging.Format)
	for _, k := range Keys() {
		name := k.Path[strings.LastIndexByte(k.Path, '.')+1:]
		assert.Contains(t, string(have), name+":", k.Path)
	}
}

const pythonExample = `# config.yaml
server:
  host: "0.0.0.0"
  port: 8080

daemon:
  mode: "host"  # "host" or "docker"
  port: 2280
  path: "/usr/local/bin/daytona"
  container_name: "my-sandbox"
  startup_timeout: 30
  injection_mode: "volume"
  binary_source_path: "/usr/local/bin/daytona"

security:
  enabled: false
  api_key: "your-secret-key"

logging:
  level: "INFO"
  format: "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
`

func TestThePythonServicesExampleLoadsUnchanged(t *testing.T) {
	c, dir, err := loadFile(t, pythonExample, nil)
	require.NoError(t, err)
	assert.Equal(t, "0.0.0.0", c.Server.Host)
	assert.Equal(t, "host", c.Daemon.Mode)
	assert.Equal(t, "/usr/local/bin/daytona", c.Daemon.Path)
	assert.Equal(t, "my-sandbox", c.Daemon.ContainerName)
	assert.InDelta(t, 30, c.Daemon.StartupTimeout.Seconds(), 0)
	assert.False(t, c.Security.Enabled)
	assert.Equal(t, "%(asctime)s - %(name)s - %(levelname)s - %(message)s", c.Logging.Format)
	assert.Equal(t, filepath.Join(dir, "logs", "daemon-proxy.log"), c.Logging.File)
}

func TestEnvironmentGoesBeforeTheFile(t *testing.T) {
	c, _, err := loadFile(t, pythonExample, map[string]string{"DAEMON_PROXY_HOST": "127.0.0.1", "DAEMON_PROXY_PORT": "9090",
		"DAEMON_MODE": "docker", "DAEMON_PORT": "2281", "DAEMON_INJECTION_MODE": "direct", "LOG_LEVEL": "DEBUG"})
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1", c.Server.Host)
	assert.Equal(t, 9090, c.Server.Port)
	assert.Equal(t, "docker", c.Daemon.Mode)
	assert.Equal(t, 2281, c.Daemon.Port)
	assert.Equal(t, "direct", c.Daemon.InjectionMode)
	assert.Equal(t, "DEBUG", c.Logging.Level)
}

func TestEveryMistakeIsALineWithItsPlace(t *testing.T) {
	_, _, err := loadFile(t, "server:\n  port: 70000\n  prot: 1\nsecurity:\n  enabled: true\n  api_key: \"\"\ndaemon:\n  startup_timeout: soon\n", nil)
	require.Error(t, err)
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	require.GreaterOrEqual(t, len(lines), 4, err.Error())
	for _, want := range []string{"config.yaml:2", "70000", "config.yaml:3", "prot", "api_key", "config.yaml:8", "soon"} {
		assert.Contains(t, err.Error(), want)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(pythonExample)
	f.Add("server: [1, 2]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := loadFile(t, text, nil)
		if err == nil {
			if err := c.Validate(); err != nil {
				t.Fatalf("it loads and is not valid: %v", err)
			}
		}
	})
}

func TestAGroupOfKeysIsAMapping(t *testing.T) {
	c, dir, err := loadFile(t, "server:\n  tls:\n    mode: files\n    cert: a.pem\n    key: b.pem\n", nil)
	require.NoError(t, err)
	assert.Equal(t, TLS{Mode: "files", Cert: filepath.Join(dir, "a.pem"), Key: filepath.Join(dir, "b.pem")}, c.Server.TLS)
	for text, want := range map[string]string{
		"server:\n  tls: files\n":                         "config.yaml:2: server.tls: \"files\": want a mapping",
		"server:\n  tls:\n    mod: files\n":               "did you mean server.tls.mode?",
		"server:\n  tls:\n    mode: on\n":                 "off",
		"server:\n  tls:\n    mode: files\n    key: k\n":  "server.tls.cert",
		"server:\n  tls:\n    mode: files\n    cert: k\n": "server.tls.key",
	} {
		_, _, err := loadFile(t, text, nil)
		require.ErrorContains(t, err, want, text)
	}
}

// writeExample writes config.example.yaml: every key with its default and its
// documentation.
func writeExample(w io.Writer) error {
	const head = `# yaml-language-server: $schema=docs/config.schema.json
#
# Configuration of daemon-proxy: every key with its default. The line above
# tells editors where the schema is, which completes and checks the keys.
#
# Flags override environment variables, which override this file, which
# overrides the defaults. An empty variable counts as not set. The program reads
# the first of these files:
#   --config FILE
#   DAEMON_PROXY_CONFIG
#   ./config.yaml, if it belongs to you and has no other program's sections
#   $XDG_CONFIG_HOME/daemon-proxy/config.yaml (~/.config/daemon-proxy/config.yaml)
# Relative paths are relative to the directory of this file; in flags and
# variables, to the current directory. "~/" is your home directory.
# In flags and variables, separate the entries of a list with commas.

`
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	return Defaults().write(w, func(k key) string {
		var b strings.Builder
		facts := []string{"Allowed: " + k.allowed + ".", "Variable: " + k.Env}
		if k.Flag != "" {
			facts[1] += "   Flag: --" + k.Flag
		}
		for _, paragraph := range append([]string{k.Doc}, facts...) {
			for _, line := range wrap(paragraph, 74) {
				b.WriteString("  # " + line + "\n")
			}
		}
		return b.String()
	})
}

// wrap breaks text at spaces into lines of at most width bytes, longer words aside.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
