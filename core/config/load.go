package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// Options say where Load looks.
type Options struct {
	// Flags is the parsed set that BindFlags filled; only flags that were given
	// count. nil: none.
	Flags *pflag.FlagSet
	// Env looks a variable up; nil is os.LookupEnv. An empty variable counts as not set.
	Env func(name string) (string, bool)
	// WorkDir is where ./config.yaml is looked for and what relative paths in
	// flags and variables are relative to; empty is the current directory.
	WorkDir string
}

// Load reads the configuration: defaults < file < environment < flags.
//
// The file is the first of --config, DAEMON_PROXY_CONFIG, ./config.yaml if it
// is plainly ours and belongs to the user or to root, and $XDG_CONFIG_HOME/daemon-proxy/config.yaml.
// Relative paths in it are relative to its folder. Every path of the result is
// absolute. The error is an *Errors with every problem; the Config is then empty.
func Load(opts Options) (Config, error) {
	_, cfg, err := load(opts)
	return cfg, err
}

// load is Load that also gives the run, which knows where each value was given.
func load(opts Options) (*loader, Config, error) {
	l := &loader{keys: table(), flags: opts.Flags, lookup: opts.Env, workDir: opts.WorkDir,
		cfg: Defaults(), origins: map[string]origin{}}
	if l.lookup == nil {
		l.lookup = os.LookupEnv
	}
	if l.workDir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, Config{}, &Errors{[]Problem{{Text: fmt.Sprintf("find the current directory: %v", err)}}}
		}
		l.workDir = dir
	}
	l.home = homeDir(l.env)

	found := l.locate()
	if found.path != "" {
		l.cfg.File = found.path
		l.base = filepath.Dir(found.path)
		l.file(found.path, found.data)
	}
	l.environment()
	l.givenFlags()
	l.chooseEngine()
	l.folders(found)
	l.placeConflicts()
	l.checkPassedOver()
	if err := l.errs.orNil(); err != nil {
		return nil, Config{}, err
	}
	l.remarkOnSecret()
	return l, l.cfg, nil
}

// layer is a source of values; a higher one overrides a lower one.
type layer int

const (
	layerDefault layer = iota
	layerFile
	layerEnv
	layerFlag
)

// origin is where a value was given.
type origin struct {
	layer layer
	where string // as in Problem.Where
}

// loader is one run of Load.
type loader struct {
	keys    []key
	flags   *pflag.FlagSet
	lookup  func(string) (string, bool)
	workDir string
	home    string // empty if unknown
	base    string // folder of the file
	// passedOver is the file under XDG_CONFIG_HOME if it protects the API and
	// ./config.yaml counts in its place; else empty.
	passedOver string

	cfg     Config
	origins map[string]origin // by key, where it was given last
	errs    Errors
}

// env is a variable, "" if it is not set.
func (l *loader) env(name string) string {
	v, _ := l.lookup(name)
	return v
}

// set stores the entries of a key, or returns what is refused.
func (l *loader) set(k key, entries []string, from origin) []refusal {
	refused := k.set(&l.cfg, entries)
	l.origins[k.Path] = from
	return refused
}

// setText keeps the texts that a variable or a flag gave; a list or a mapping may have several.
func (l *loader) setText(k key, texts []string, from origin) {
	var entries []string
	for _, t := range texts {
		split, err := k.split(t)
		if err != nil {
			l.errs.add(Problem{Where: from.where, Key: k.Path, Value: k.show(t),
				Text: "its quotes do not match; want " + k.allowed})
			return
		}
		entries = append(entries, split...)
	}
	if k.form == formPath {
		entries[0] = resolve(entries[0], l.workDir, l.home)
	}
	for _, r := range l.set(k, entries, from) {
		l.errs.add(Problem{Where: from.where, Key: k.Path, Value: k.show(r.entry), Text: r.text(k)})
	}
}

func (l *loader) environment() {
	for _, k := range l.keys {
		if v := l.env(k.Env); v != "" {
			l.setText(k, []string{v}, origin{layerEnv, "environment variable " + k.Env})
		}
	}
}

func (l *loader) givenFlags() {
	for _, k := range l.keys {
		if texts, given := givenFlag(l.flags, k.Flag); given {
			l.setText(k, texts, origin{layerFlag, "flag --" + k.Flag})
		}
	}
}

// chooseEngine leaves one of docker.engines, docker.host and docker.context: the one
// of the highest layer; of variables the first of these, as in the docker CLI. Two
// in one file or two as flags are a conflict.
func (l *loader) chooseEngine() {
	docker := &l.cfg.Docker
	settings := []struct {
		path  string
		given bool
		clear func()
	}{
		{"docker.engines", len(docker.Engines) > 0, func() { docker.Engines = nil }},
		{"docker.host", docker.Host != "", func() { docker.Host = "" }},
		{"docker.context", docker.Context != "", func() { docker.Context = "" }},
	}
	for i, a := range settings {
		for j, b := range settings {
			la, lb := l.origins[a.path].layer, l.origins[b.path].layer
			if a.given && b.given && (la < lb || la == layerEnv && lb == layerEnv && j < i) {
				a.clear()
			}
		}
	}
}

// placeConflicts reports conflicts between values, at the place where one of
// them was given.
func (l *loader) placeConflicts() {
	for _, c := range l.cfg.conflicts() {
		for _, path := range c.keys {
			if from, given := l.origins[path]; given {
				c.Where = from.where
				break
			}
		}
		l.errs.add(c.Problem)
	}
}

// folders fills in what depends on the machine.
func (l *loader) folders(found foundFile) {
	cfg := &l.cfg
	state, cache := l.xdg("XDG_STATE_HOME", ".local/state"), l.xdg("XDG_CACHE_HOME", ".cache")
	if state == "" || cache == "" {
		l.errs.add(Problem{Text: "the home directory is not known; set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME, " +
			"to absolute paths"})
		return
	}
	cfg.StateDir, cfg.CacheDir = state, cache
	if cfg.File != "" && !found.xdg && canWrite(l.base) {
		cfg.CacheDir = filepath.Join(l.base, ".tmp")
	}
	if cfg.Preview.StateFile == "" {
		cfg.Preview.StateFile = filepath.Join(state, "links.db")
	}
	if cfg.Logging.File == "" {
		cfg.Logging.File = filepath.Join(state, "daemon-proxy.log")
		if cfg.File != "" {
			cfg.Logging.File = filepath.Join(l.base, "logs", "daemon-proxy.log")
		}
	}
}

// remarkOnSecret notes an API key that others on the machine can read.
func (l *loader) remarkOnSecret() {
	if l.cfg.File == "" || !l.cfg.Security.Enabled || l.origins["security.api_key"].layer != layerFile {
		return
	}
	if info, err := os.Stat(l.cfg.File); err == nil && strangersMayRead(info) {
		l.note("%s holds security.api_key and others may read it: chmod 600 it, or 640 with the group of "+
			"daemon-proxy if it is root's",
			quotePath(l.cfg.File))
	}
}

func (l *loader) note(format string, args ...any) {
	l.cfg.Notes = append(l.cfg.Notes, fmt.Sprintf(format, args...))
}

// quotePath is a path as a message may show it.
func quotePath(p string) string {
	if q := fmt.Sprintf("%q", p); strings.Trim(q, `"`) != p {
		return q
	}
	return p
}
