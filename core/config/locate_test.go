package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// place is a home directory with a working directory in it.
type place struct {
	t         *testing.T
	home, cwd string
	env       map[string]string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	home := t.TempDir()
	p := &place{t: t, home: home, cwd: filepath.Join(home, "work"), env: map[string]string{"HOME": home}}
	require.NoError(t, os.MkdirAll(p.cwd, 0o700))
	return p
}

// file writes a file below the home directory and returns its path.
func (p *place) file(name, text string) string {
	p.t.Helper()
	full := filepath.Join(p.home, name)
	require.NoError(p.t, os.MkdirAll(filepath.Dir(full), 0o700))
	require.NoError(p.t, os.WriteFile(full, []byte(text), 0o600))
	return full
}

func (p *place) load(args ...string) (Config, error) {
	p.t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	BindFlags(flags)
	require.NoError(p.t, flags.Parse(args))
	return Load(Options{Flags: flags, WorkDir: p.cwd, Env: func(name string) (string, bool) {
		value, ok := p.env[name]
		return value, ok
	}})
}

func port(n string) string { return "server:\n  port: " + n + "\n" }

func TestTheFirstFileFoundCounts(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	loads := func(want int, file string, args ...string) {
		t.Helper()
		c, err := p.load(args...)
		require.NoError(t, err)
		require.Equal(t, want, c.Server.Port)
		require.Equal(t, file, c.File)
	}
	loads(8080, "")
	xdg := p.file(".config/daemon-proxy/config.yaml", port("9001"))
	loads(9001, xdg)
	here := p.file("work/config.yaml", port("9002"))
	loads(9002, here)
	p.env[configEnv] = p.file("elsewhere/a.yaml", port("9003"))
	loads(9003, p.env[configEnv])
	flag := p.file("elsewhere/b.yaml", port("9004"))
	loads(9004, flag, "--config", "../elsewhere/b.yaml")
}

func TestAStrangersConfigYAMLNeitherStopsNorSteers(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"another program's": "title: my site\nserver:\n  port: 4000\n  theme: dark\nplugins: [a]\n",
		"no YAML":           "{{{",
		"a list":            "- a\n- b\n",
	} {
		p := newPlace(t)
		p.file("work/config.yaml", text)
		c, err := p.load()
		require.NoError(t, err, name)
		require.Equal(t, 8080, c.Server.Port, name)
		require.Empty(t, c.File, name)
		require.Contains(t, strings.Join(c.Notes, "\n"), "config.yaml is ignored", name)
		_, err = p.load("--config", "config.yaml") // asked for, it must be right
		require.Error(t, err, name)
	}
}

func TestFlagsGoBeforeVariablesBeforeTheFile(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.file("work/config.yaml", port("9001")+"  host: 10.0.0.1\ndaemon:\n  mode: host\n  port: 1\nlogging:\n  level: ERROR\n")
	p.env["DAEMON_PROXY_PORT"] = "9002"
	p.env["DAEMON_MODE"] = "docker"
	p.env["DAEMON_PORT"] = "" // an empty variable counts as not set
	c, err := p.load("--port", "9003", "--container-name", "box", "--injection-mode", "direct", "--binary-source-path", "d")
	require.NoError(t, err)
	require.Equal(t, 9003, c.Server.Port)
	require.Equal(t, "10.0.0.1", c.Server.Host)
	require.Equal(t, "docker", c.Daemon.Mode)
	require.Equal(t, 1, c.Daemon.Port)
	require.Equal(t, "box", c.Daemon.ContainerName)
	require.Equal(t, "direct", c.Daemon.InjectionMode)
	require.Equal(t, filepath.Join(p.cwd, "d"), c.Daemon.BinarySourcePath)
	require.Equal(t, "ERROR", c.Logging.Level)
}

func TestEveryKeyHasAVariable(t *testing.T) {
	t.Parallel()
	for _, k := range Keys() {
		section, name, _ := strings.Cut(k.Path, ".")
		name = strings.ReplaceAll(name, ".", "_")
		want := strings.ToUpper(section + "_" + name)
		if section == "server" {
			want = "DAEMON_PROXY_" + strings.ToUpper(name)
		}
		switch k.Path { // older names, and the docker CLI's
		case "logging.level":
			want = "LOG_LEVEL"
		case "docker.host", "docker.context":
		}
		require.Equal(t, want, k.Env, k.Path)
	}
}

func TestRelativePathsBelongToTheFilesFolder(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.file("site/config.yaml", "preview:\n  state_file: links.db\ndaemon:\n  binary_source_path: bin/daytona\n")
	site := filepath.Join(p.home, "site")
	c, err := p.load("--config", "../site/config.yaml")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(site, "links.db"), c.Preview.StateFile)
	require.Equal(t, filepath.Join(site, "bin", "daytona"), c.Daemon.BinarySourcePath)
	require.Equal(t, filepath.Join(site, "logs", "daemon-proxy.log"), c.Logging.File)
	require.Equal(t, filepath.Join(site, ".tmp"), c.CacheDir)

	bare := newPlace(t)
	c, err = bare.load("--state-file", "links.db")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(bare.cwd, "links.db"), c.Preview.StateFile)
	require.Equal(t, filepath.Join(bare.home, ".local/state/daemon-proxy/daemon-proxy.log"), c.Logging.File)
	require.Equal(t, filepath.Join(bare.home, ".cache/daemon-proxy"), c.CacheDir)
}

func TestTheGreatestDurationsAreTaken(t *testing.T) {
	t.Parallel()
	c, _, err := loadFile(t, "daemon:\n  startup_timeout: 24h\npreview:\n  default_ttl: 3650d\n", nil)
	require.NoError(t, err)
	require.Equal(t, 24*time.Hour, c.Daemon.StartupTimeout)
	require.Equal(t, 3650*24*time.Hour, c.Preview.DefaultTTL)
}

func TestAPublicURLLosesItsSlash(t *testing.T) {
	t.Parallel()
	c, _, err := loadFile(t, "server:\n  public_url: https://Desk.example:8443/\n", nil)
	require.NoError(t, err)
	require.Equal(t, "https://desk.example:8443", c.Server.PublicURL)
}

func TestImpossibleValuesAreNamed(t *testing.T) {
	t.Parallel()
	for text, wants := range map[string][]string{
		"server:\n  port: 0\n":                            {":2", "server.port", `"0"`, "1 to 65535"},
		"server:\n  port: 70000\n":                        {":2", "server.port", `"70000"`},
		"server:\n  port: [1]\n":                          {":2", "server.port"},
		"server:\n  allowed_hosts: 5:6\n":                 {":2", "server.allowed_hosts"},
		"server:\n  trusted_proxies: [10.0.0.0/99]\n":     {":2", "server.trusted_proxies", "10.0.0.0/99"},
		"server:\n  public_url: ftp://x\n":                {":2", "server.public_url", "ftp://x"},
		"server:\n  public_url: http://x.example/path\n":  {":2", "server.public_url", "more than scheme, host and port"},
		"server:\n  public_url: http://x.example?q\n":     {":2", "server.public_url", "more than scheme, host and port"},
		"server:\n  public_url: http://x.example/#f\n":    {":2", "server.public_url", "more than scheme, host and port"},
		"server:\n  public_url: \"http://x.example:\"\n":  {":2", "server.public_url", "its port is not allowed"},
		"server:\n  public_url: http://x.example:70000\n": {":2", "server.public_url", "its port is not allowed"},
		"server:\n  public_url: http://me:pw@x.example\n": {":2", "server.public_url"},
		"server: 5\n":                                           {":1", "server"},
		"daemon:\n  mode: kubernetes\n":                         {":2", "daemon.mode", "auto, docker or host"},
		"daemon:\n  startup_timeout: soon\n":                    {":2", "daemon.startup_timeout", "soon"},
		"daemon:\n  startup_timeout: 99ms\n":                    {":2", "daemon.startup_timeout", "from 100ms to 24h"},
		"daemon:\n  startup_timeout: 24h0m1s\n":                 {":2", "daemon.startup_timeout", "from 100ms to 24h"},
		"daemon:\n  startup_timeout: 86401\n":                   {":2", "daemon.startup_timeout", "from 100ms to 24h"},
		"daemon:\n  env: [a]\n":                                 {":2", "daemon.env"},
		"daemon:\n  work_dir: relative\n":                       {":2", "daemon.work_dir", "relative"},
		"daemon:\n  stop_on_exit: perhaps\n":                    {":2", "daemon.stop_on_exit", "perhaps"},
		"security:\n  enabled: true\n":                          {"security.api_key"},
		"security: {enabled: true, api_key: \"\"}\n":            {"security.api_key"},
		"security: {enabled: true, api_key: your-secret-key}\n": {"security.api_key", "a key of your own"},
		"logging:\n  level: LOUD\n":                             {":2", "logging.level", "LOUD"},
		"logging:\n  format: \"%(asctime\"\n":                   {":2", "logging.format"},
		"preview:\n  default_ttl: -1h\n":                        {":2", "preview.default_ttl", "-1h"},
		"preview:\n  default_ttl: 3651d\n":                      {":2", "preview.default_ttl", "from 0 to 3650d"},
		"preview:\n  default_ttl: 999999999999\n":               {":2", "preview.default_ttl", "from 0 to 3650d"},
		"daemon:\n  mode: host\n  mode: docker\n":               {":3", "mode"},
		"loging:\n  level: INFO\n":                              {":1", "loging", "logging"},
	} {
		_, _, err := loadFile(t, text, nil)
		require.Error(t, err, text)
		for _, want := range wants {
			require.Contains(t, err.Error(), want, text)
		}
	}
}

func TestAFileThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, err := p.load("--config", "nowhere.yaml")
	require.ErrorContains(t, err, filepath.Join(p.cwd, "nowhere.yaml"))
	_, err = p.load("--config", ".")
	require.ErrorContains(t, err, "cannot be read")
	p.env[configEnv] = "gone.yaml"
	_, err = p.load()
	require.ErrorContains(t, err, configEnv)
}

func TestASecretIsNotShown(t *testing.T) {
	t.Parallel()
	_, _, err := loadFile(t, "security:\n  enabled: true\n  api_key: \"not-for-eyes \\u0007\"\n", nil)
	require.ErrorContains(t, err, "security.api_key")
	require.NotContains(t, err.Error(), "not-for-eyes")
}
