package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const nobody = 65534

// newServiceDesk is the desk of a service: another user runs the program, in a
// folder that belongs to root.
func newServiceDesk(t *testing.T) *desk {
	t.Helper()
	if os.Geteuid() != 0 {
		require.NotEqual(t, "true", os.Getenv("CI"), "it needs root to run the program as another user")
		t.Skip("it needs root to run the program as another user")
	}
	d := newDesk(t)
	d.user = &syscall.Credential{Uid: nobody, Gid: nobody}
	for _, folder := range []string{d.dir, d.binary} {
		for _, above := range []string{filepath.Dir(folder), filepath.Dir(filepath.Dir(folder))} {
			if above != filepath.Clean(os.TempDir()) { // which everybody may use as it is
				require.NoError(t, os.Chmod(above, 0o755))
			}
		}
	}
	for _, own := range []string{"state", "cache", "logs"} {
		require.NoError(t, os.Mkdir(filepath.Join(d.dir, own), 0o700))
		require.NoError(t, os.Chown(filepath.Join(d.dir, own), nobody, nobody))
	}
	return d
}

const protecting = "security:\n  enabled: true\n  api_key: a-key-of-our-own\n"

func TestS30ARootsConfigurationProtectsAServicesAPI(t *testing.T) {
	t.Parallel()
	d := newServiceDesk(t)
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "config.yaml"), []byte(protecting), 0o644))
	p := d.serving(t, nil, "--daemon-mode", "host")
	p.expect(http.StatusUnauthorized, "unauthorized", "GET", "/api/sandboxes", "")
	p.expect(http.StatusOK, "host", "GET", "/api/sandboxes", "", "X-API-Key", "a-key-of-our-own")
}

func TestS30AProtectionThatCannotBeUsedEndsTheStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text  string
		mode  os.FileMode
		owner int
		why   string
	}{
		"broken":            {"security:\n  enabled: true\n  api_key: \"a-key\n", 0o644, 0, "cannot be parsed"},
		"foreign sections":  {"plugins: [a]\n" + protecting, 0o644, 0, "another program's"},
		"a stranger's":      {protecting, 0o644, 1, "belongs neither to you nor to root"},
		"a stranger's mode": {"daemon:\n  mode: host\n", 0o644, 1, "belongs neither to you nor to root"},
		"root's alone":      {protecting, 0o600, 0, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newServiceDesk(t)
			file := filepath.Join(d.dir, "config.yaml")
			require.NoError(t, os.WriteFile(file, []byte(c.text), c.mode))
			require.NoError(t, os.Chown(file, c.owner, c.owner))
			p := d.run(t, nil, "--no-tui", "--daemon-mode", "host")
			require.Equal(t, exitUsage, p.exit(), p.stderr.String())
			for _, want := range []string{file, c.why, "--config"} {
				require.Contains(t, p.stderr.String(), want)
			}
			status, _ := p.try("GET", "/health", "")
			require.Zero(t, status, "nothing is served")
		})
	}
}

func TestAStrangersProjectNeitherStopsNorSteersAService(t *testing.T) {
	t.Parallel()
	d := newServiceDesk(t)
	file := filepath.Join(d.dir, "config.yaml")
	require.NoError(t, os.WriteFile(file, []byte("title: my site\nserver:\n  port: 4000\n"), 0o644))
	require.NoError(t, os.Chown(file, 1, 1))
	p := d.serving(t, nil, "--daemon-mode", "host")
	p.eventually("it says so", func() bool { return strings.Contains(p.stderr.String(), file+" is ignored") })
}
