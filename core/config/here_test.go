package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What cannot be used and may protect ends the start; any other file that is
// not used is noted and changes nothing.
func TestS30AConfigYAMLThatProtectsIsNeverIgnored(t *testing.T) {
	t.Parallel()
	const foreign = "title: my site\nplugins: [a]\n"
	for name, c := range map[string]struct {
		text  string
		wants []string // in the error; none: the file is ignored
	}{
		"security among another program's sections": {foreign + "security:\n  enabled: true\n", []string{"another program's", "--config"}},
		"the key among them":                        {foreign + "security:\n  api_key: k\n", []string{"another program's"}},
		"a flow mapping":                            {foreign + "security: {enabled: true}\n", []string{"another program's"}},
		"by an alias":                               {"x: &a {enabled: true}\nsecurity: *a\n", []string{"another program's"}},
		"merged keys":                               {"x: &a {enabled: true}\nsecurity: {<<: *a}\n", []string{"another program's"}},
		"a misspelt section alone":                  {"securty:\n  enabled: true\n", []string{"another program's"}},
		"a section in capitals":                     {foreign + "Security:\n  Enabled: true\n", []string{"another program's"}},
		"a merged section":                          {"x: &a {security: {enabled: true}}\n<<: *a\n", []string{"another program's"}},
		"merged sections":                           {"x: &a {security: {enabled: true}}\n<<: [{}, *a]\n", []string{"another program's"}},
		"a dotted key":                              {foreign + "security.enabled: true\n", []string{"another program's"}},
		"a dotted key alone":                        {"security.api_key: k\n", []string{"another program's"}},
		"a dotted key among our sections":           {"server:\n  port: 1\nsecurity.enabled: true\n", []string{"another program's"}},
		"broken, with a dotted key":                 {"security.enabled: true\na: [\n", []string{"cannot be parsed"}},
		"a list":                                    {foreign + "security:\n- api_key: k\n", []string{"another program's"}},
		"an anchor within itself":                   {"&a\n<<: *a\nx: y\nsecurity: {enabled: true}\n", []string{"another program's"}},
		"a misspelt key":                            {foreign + "security:\n  enabeld: true\n", []string{"another program's"}},
		"our daemon section among others":           {foreign + "daemon:\n  mode: host\n", []string{"unknown section"}},
		"broken, with security":                     {"security:\n  enabled: true\n  api_key: \"k\n", []string{"cannot be parsed", "correct it", "--config"}},
		"broken, with daemon":                       {"a: [\ndaemon:\n  mode: host\n", []string{"cannot be parsed"}},
		"broken, with carriage returns":             {"a: [\rsecurity:\r", []string{"cannot be parsed"}},
		"broken, with a mark of the byte order":     {"\ufeffsecurity: [\n", []string{"cannot be parsed"}},
		"broken, with a quoted name":                {"{{{\n\"security\" : on\n", []string{"cannot be parsed"}},
		"broken JSON":                               {"{\"security\": {\"enabled\": true}", []string{"cannot be parsed"}},
		"two documents":                             {"a: 1\n---\nsecurity:\n  enabled: true\n", []string{"cannot be parsed", "second document"}},
		"too large, with security at its end": {
			"a: |\n" + strings.Repeat("  "+strings.Repeat("x", 98)+"\n", 20_000) + "security:\n  enabled: true\n", []string{"larger than"},
		},

		"another program's":                  {foreign + "server:\n  port: 4000\n", nil},
		"another program's security section": {foreign + "security:\n  cors: [a]\n", nil},
		"another program's daemon section":   {foreign + "daemon:\n  interval_of_polls: 1\n", nil},
		"another program's dotted keys":      {foreign + "security.cors: [a]\nlogging.level.root: INFO\n", nil},
		"security deeper down":               {"auth:\n  security:\n    enabled: true\n", nil},
		"broken":                             {"{{{", nil},
		"broken, security deeper down":       {"a: [\n  security:\n", nil},
		"too large":                          {"a: |\n" + strings.Repeat("  "+strings.Repeat("x", 98)+"\n", 20_000), nil},
	} {
		p := newPlace(t)
		file := p.file("work/config.yaml", c.text)
		loaded, err := p.load()
		if c.wants == nil {
			require.NoError(t, err, name)
			require.Contains(t, strings.Join(loaded.Notes, "\n"), file+" is ignored", name)
			require.Empty(t, loaded.File, name)
			continue
		}
		require.Error(t, err, name)
		for _, want := range append(c.wants, file) {
			require.ErrorContains(t, err, want, name)
		}
		own := p.file("own.yaml", "server:\n  port: 9001\n")
		loaded, err = p.load("--config", own)
		require.NoError(t, err, "%s: the next step that the error names", name)
		require.Equal(t, 9001, loaded.Server.Port, name)
	}
}

func TestS30AConfigYAMLThatCannotBeReadIsNeverIgnored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(path string) error
		want string
	}{
		"a directory":     {func(path string) error { return os.Mkdir(path, 0o700) }, "it is a directory"},
		"a dangling link": {func(path string) error { return os.Symlink("nowhere", path) }, "symbolic link"},
		"a device":        {func(path string) error { return os.Symlink(os.DevNull, path) }, "not a regular file"},
	} {
		p := newPlace(t)
		path := filepath.Join(p.cwd, "config.yaml")
		require.NoError(t, c.make(path))
		_, err := p.load()
		require.ErrorContains(t, err, path, name)
		require.ErrorContains(t, err, c.want, name)
		require.ErrorContains(t, err, "--config", name)
	}
}

// A ./config.yaml that says nothing of security does not take the place of the
// user's own file that does.
func TestS30AConfigYAMLDoesNotHideOneThatProtects(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"security": "security:\n  enabled: true\n  api_key: own\n",
		"broken":   "security: [\n",
	} {
		p := newPlace(t)
		xdg := p.file(".config/daemon-proxy/config.yaml", text)
		here := p.file("work/config.yaml", port("9002"))
		_, err := p.load()
		require.ErrorContains(t, err, here, name)
		require.ErrorContains(t, err, xdg, name)
		loaded, err := p.load("--security-enabled=false")
		require.NoError(t, err, name)
		require.Equal(t, 9002, loaded.Server.Port, name)
		p.file("work/config.yaml", port("9002")+"security:\n  enabled: false\n")
		_, err = p.load()
		require.NoError(t, err, name)
	}
}

func TestAKeyThatOthersCanReadIsNoted(t *testing.T) {
	t.Parallel()
	const protecting = "security:\n  enabled: true\n  api_key: own\n"
	for mode, noted := range map[os.FileMode]bool{0o600: false, 0o640: true, 0o604: true, 0o644: true} {
		p := newPlace(t)
		file := p.file("work/config.yaml", protecting)
		require.NoError(t, os.Chmod(file, mode))
		c, err := p.load()
		require.NoError(t, err)
		require.Equal(t, noted, strings.Contains(strings.Join(c.Notes, "\n"), file+" holds security.api_key and others may read it"), mode)
	}
	p := newPlace(t)
	require.NoError(t, os.Chmod(p.file("work/config.yaml", port("1")), 0o644))
	c, err := p.load()
	require.NoError(t, err)
	require.Empty(t, c.Notes, "there is no key in it")
}
