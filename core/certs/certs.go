// Package certs gives the server its certificates: from two files that are
// read again when they change, or from a private authority, made once, that
// signs a leaf for each name on demand.
//
// One certificate for *.localhost would not do: Chromium refuses a wildcard
// there, even under an authority that it trusts. So each preview gets a leaf
// of its own. To avoid the warning, let the browser trust the
// authority; its key never leaves its file.
//
// The package does not decide which names are served: its caller does.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Get is tls.Config.GetCertificate.
type Get func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// Files is the certificate in two PEM files. They are read now, and again at
// the first handshake after either has changed; if that fails, the certificate
// before stays and a warning is logged. The error names the files.
func Files(cert, key string, log *slog.Logger) (Get, error) {
	f := &files{cert: cert, key: key, log: log}
	if err := f.load(f.stamp()); err != nil {
		return nil, err
	}
	return f.get, nil
}

type files struct {
	cert, key string
	log       *slog.Logger

	mu   sync.Mutex
	seen [2]stamp
	have *tls.Certificate
}

// stamp identifies one state of a file.
type stamp struct {
	at   time.Time
	size int64
}

func (f *files) stamp() (s [2]stamp) {
	for i, name := range [...]string{f.cert, f.key} {
		if info, err := os.Stat(name); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

func (f *files) load(now [2]stamp) error {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	f.seen = now
	if err != nil {
		return fmt.Errorf("cannot use the certificate %s with the key %s (server.tls.cert, server.tls.key): %w", f.cert,
			f.key, err)
	}
	f.have = &pair
	return nil
}

func (f *files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.stamp(); now != f.seen {
		if err := f.load(now); err != nil {
			f.log.Warn("the certificate has changed and cannot be read: the previous one stays in use", "error", err)
		} else {
			f.log.Info("reloaded the certificate", "file", f.cert)
		}
	}
	return f.have, nil
}

// AuthorityFile is the certificate of the private authority in a state
// directory: the file that browsers and programs have to trust.
func AuthorityFile(stateDir string) string { return filepath.Join(stateDir, "tls-authority.pem") }

// Pool trusts what this machine trusts and the private authority in a state
// directory, if there is one: for programs of this machine that call the server.
func Pool(stateDir string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pem, err := os.ReadFile(AuthorityFile(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return pool, nil
	}
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s is not a certificate", AuthorityFile(stateDir))
	}
	return pool, nil
}
