package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
)

const (
	configFlag = "config"
	configEnv  = "DAEMON_PROXY_CONFIG"
	configName = "config.yaml"
	program    = "daemon-proxy"
)

// foundFile is the configuration file that is used.
type foundFile struct {
	path string // absolute; empty if there is none
	data []byte
	xdg  bool // it is the one under XDG_CONFIG_HOME
}

// locate finds and reads the file. One that was named and cannot be read
// is a problem; for ./config.yaml see here.
func (l *loader) locate() foundFile {
	if texts, given := givenFlag(l.flags, configFlag); given {
		return l.asked("flag --"+configFlag, texts[0])
	}
	if name := l.env(configEnv); name != "" {
		return l.asked("environment variable "+configEnv, name)
	}
	if here := filepath.Join(l.workDir, configName); exists(here) {
		data, counts := l.here(here)
		if counts {
			l.passedOver = l.protectingXDG()
			return foundFile{path: here, data: data}
		}
	}
	if dir := l.xdg("XDG_CONFIG_HOME", ".config"); dir != "" && exists(filepath.Join(dir, configName)) {
		name := filepath.Join(dir, configName)
		data, err := readFile(name)
		if err != nil {
			l.errs.add(Problem{Where: quotePath(name), Text: "cannot be read: " + cause(err)})
			return foundFile{}
		}
		return foundFile{path: name, data: data, xdg: true}
	}
	return foundFile{}
}

// asked reads the file named by a flag or a variable.
func (l *loader) asked(where, name string) foundFile {
	full := resolve(name, l.workDir, l.home)
	if full == "" {
		l.errs.add(Problem{Where: where, Value: quote(name), Text: "want the name of a file"})
		return foundFile{}
	}
	data, err := readFile(full)
	if err != nil {
		l.errs.add(Problem{Where: where, Value: quotePath(full), Text: "cannot be read: " + cause(err)})
		return foundFile{}
	}
	return foundFile{path: full, data: data}
}

// cause is err without operation and path.
func cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid)
}

var errTooLarge = fmt.Errorf("it is larger than %d bytes", maxFileSize)

// readFile reads a file of at most maxFileSize bytes.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the configuration file that was named
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(data) > maxFileSize {
		err = errTooLarge
	}
	return data, err
}

// xdg is our folder under a base directory: that of the variable if it is
// absolute, else fallback under the home directory; empty if there is neither.
// https://specifications.freedesktop.org/basedir-spec/latest/
func (l *loader) xdg(variable, fallback string) string {
	if dir := l.env(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, program)
	}
	if l.home == "" {
		return ""
	}
	return filepath.Join(l.home, fallback, program)
}

// homeDir is the user's home directory: HOME, USERPROFILE (on Windows), or
// what the system knows of the user; empty if none is absolute.
func homeDir(env func(string) string) string {
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if dir := env(name); filepath.IsAbs(dir) {
			return dir
		}
	}
	if u, err := user.Current(); err == nil && filepath.IsAbs(u.HomeDir) {
		return u.HomeDir
	}
	return ""
}
