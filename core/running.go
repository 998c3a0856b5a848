package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"daemon-proxy/core/api"
)

// Running names the core that runs on this machine: core.json in the state
// directory, written when it listens and removed at its end.
type Running struct {
	Address string `json:"address"` // what it listens on: "127.0.0.1:8080"
	URL     string `json:"url"`     // how this machine reaches it
	PID     int    `json:"pid"`
	Version string `json:"version"`
	// Protocol is api.Protocol of that program; empty if it is older than that.
	Protocol string `json:"protocol,omitempty"`
	// Key is accepted as the API key is, until that core ends.
	Key string `json:"key,omitempty"`
	// Executable is the path of that program; empty if unknown.
	Executable string `json:"executable,omitempty"`
}

func runningFile(stateDir string) string { return filepath.Join(stateDir, "core.json") }

// ReadRunning is the core that is named there, and false if none is. A file
// that a crash left behind is still read: whether its process lives is for
// the caller to find out by asking its URL.
func ReadRunning(stateDir string) (Running, bool) {
	raw, err := os.ReadFile(runningFile(stateDir))
	if err != nil {
		return Running{}, false
	}
	var r Running
	if json.Unmarshal(raw, &r) != nil || r.PID <= 0 {
		return Running{}, false
	}
	return r, true
}

// writeRunning puts r in place in one step, readable by its user only.
func writeRunning(stateDir string, r Running) error {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return writeFile(runningFile(stateDir), raw)
}

// writeFile puts a file in place in one step, readable by its user only.
func writeFile(file string, content []byte) error {
	next, err := os.CreateTemp(filepath.Dir(file), "core-*.json") // mode 0600
	if err != nil {
		return err
	}
	_, err = next.Write(append(content, '\n'))
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next.Name()))
	}
	return nil
}

// removeRunning removes the file if it is still this process's.
func removeRunning(stateDir string) error {
	if r, ok := ReadRunning(stateDir); !ok || r.PID != os.Getpid() {
		return nil
	}
	if err := os.Remove(runningFile(stateDir)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// withHolder adds the process and URL that hold the links file to err.
func withHolder(err error, stateDir string) error {
	problem, ok := errors.AsType[*api.Problem](err)
	if !ok || problem.Code != api.CodeStateLocked {
		return err
	}
	r, ok := ReadRunning(stateDir)
	if !ok {
		return err
	}
	said := *problem
	said.Detail = fmt.Sprintf("%s: daemon-proxy is already running: process %d, at %s", problem.Detail, r.PID, r.URL)
	said.Hint = "daemon-proxy without other flags opens that one; --standalone starts a second one"
	return &said
}
