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

const keySize = 32

var errDamagedKey = errors.New("is damaged")

// loadKey reads the key from which all secrets are derived, or makes it (0600).
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

// keyring derives the secrets and marks of daemons from one key, so that the
// program recognises its daemons after a restart.
type keyring []byte

// secret returns the secret of the built-in daemon in a container. It differs by
// container, so that one that leaks is of no use for another sandbox.
func (k keyring) secret(containerID string) string { return k.derive(containerID) }

// mark returns the mark of a daytona in a container. It is not a secret, and no
// secret can be derived from it.
func (k keyring) mark(containerID string) string { return k.derive("mark " + containerID) }

func (k keyring) derive(from string) string {
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(from))
	return hex.EncodeToString(mac.Sum(nil))
}
