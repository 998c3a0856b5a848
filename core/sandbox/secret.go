package sandbox

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// markEnv is the variable by which a daytona that this program started is known
// again: a later run of it finds the value among the processes.
const markEnv = "DAEMON_PROXY_MARK"

const keySize = 32

var errDamagedKey = errors.New("is damaged")

// loadKey reads the key that all secrets are made of, or makes it (0600).
func loadKey(stateDir string) ([]byte, error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(stateDir, "daemon.key")
	key, err := os.ReadFile(path) //nolint:gosec // in our own state folder
	switch {
	case err == nil && len(key) == keySize:
		return key, nil
	case err == nil:
		return nil, fmt.Errorf("%s %w: it has %d bytes, not %d", path, errDamagedKey, len(key), keySize)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	key = make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	f, err := os.CreateTemp(stateDir, "daemon-*.key")
	if err != nil {
		return nil, err
	}
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Link(f.Name(), path)
	}
	if rmErr := os.Remove(f.Name()); rmErr != nil {
		err = errors.Join(err, rmErr)
	}
	if errors.Is(err, fs.ErrExist) { // another program was first
		return loadKey(stateDir)
	}
	return key, err
}

// secretOf is the secret of the built-in daemon in a container. It is derived,
// so that a restart of the program knows it again, and differs by container, so
// that a sandbox which gives its own away gives nothing else away.
func (s *Sandboxes) secretOf(containerID string) string { return s.derive(containerID) }

// markOf is the mark of a daytona in a container: no secret, and nothing from
// which one could be made.
func (s *Sandboxes) markOf(containerID string) string { return s.derive("mark " + containerID) }

func (s *Sandboxes) derive(from string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(from))
	return hex.EncodeToString(mac.Sum(nil))
}
