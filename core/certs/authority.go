package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 199 * 24 * time.Hour
	// renewBefore is when a leaf is signed again.
	renewBefore = 30 * 24 * time.Hour
	// maxLeaves bounds the leaves that are kept.
	maxLeaves = 2000
)

// Authority signs a leaf for each name on demand.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	leaf *ecdsa.PrivateKey // of all leaves, for this run of the program
	now  func() time.Time

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// OpenAuthority reads the authority in a state directory, or creates it: the
// certificate in AuthorityFile, the key, which only its user may read, beside
// it. An authority that cannot be used is not replaced, since somebody may
// trust it: the error says which files to remove.
func OpenAuthority(stateDir string) (*Authority, error) {
	certFile := AuthorityFile(stateDir)
	keyFile := strings.TrimSuffix(certFile, ".pem") + ".key"
	if _, err := os.Stat(certFile); errors.Is(err, fs.ErrNotExist) {
		if err := makeAuthority(certFile, keyFile); err != nil {
			return nil, fmt.Errorf("create an authority for server.tls.mode self-signed: %w", err)
		}
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil && time.Now().After(pair.Leaf.NotAfter) {
		err = fmt.Errorf("it expired on %s", pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	if err == nil && !pair.Leaf.IsCA {
		err = errors.New("it is not an authority")
	}
	if err != nil {
		return nil,
			fmt.Errorf("cannot use the authority %s: %w; to create a new one, remove it and %s", certFile, err, keyFile)
	}
	if err := os.Chmod(keyFile, 0o600); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key %s cannot sign", keyFile)
	}
	return &Authority{cert: pair.Leaf, key: signer, leaf: key, now: time.Now, leaves: map[string]*tls.Certificate{}},
		nil
}

// makeAuthority puts a key and its certificate in place, unless they are there.
// Several programs may do so at once: the first key counts for all, and any
// certificate that is created belongs to it. The certificate comes last, so that
// one that is there has its key.
func makeAuthority(certFile, keyFile string) error {
	if err := os.MkdirAll(filepath.Dir(certFile), 0o700); err != nil {
		return err
	}
	fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(fresh)
	if err != nil {
		return err
	}
	if err := writeOnce(keyFile, "PRIVATE KEY", secret); err != nil {
		return err
	}
	key, err := readKey(keyFile)
	if err != nil {
		return fmt.Errorf("%w; to create a new key, remove the file", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "daemon-proxy on " + host, Organization: []string{"daemon-proxy"}},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(authorityLife), IsCA: true, BasicConstraintsValid: true,
		MaxPathLenZero: true,
		KeyUsage:       x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return writeOnce(certFile, "CERTIFICATE", cert)
}

// readKey reads the key that writeOnce has written, of this program or another.
func readKey(path string) (crypto.Signer, error) {
	content, err := os.ReadFile(path) //nolint:gosec // in our own state folder
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM private key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key %s cannot sign", path)
	}
	return signer, nil
}

// writeOnce puts a file in place, whole and for good, which only its user may
// read; one that is there already stays.
func writeOnce(path, kind string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.Remove(file.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	err = pem.Encode(file, &pem.Block{Type: kind, Bytes: content})
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err = os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, missing := os.Lstat(path); !errors.Is(missing, fs.ErrNotExist) {
			return err
		}
		if err := os.Rename(file.Name(), path); err != nil { // a file system without hard links
			return err
		}
	}
	syncFolder(filepath.Dir(path))
	return nil
}

// syncFolder makes the names in a folder last, where the system can: after a
// loss of power no certificate should be there without its key.
func syncFolder(path string) {
	if dir, err := os.Open(path); err == nil { //nolint:gosec // our own state folder
		_ = dir.Sync()
		_ = dir.Close()
	}
}

func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] &= 0x7f        // positive (RFC 5280 §4.1.2.2)
	return new(big.Int).SetBytes(b)
}

// Get is the leaf for the name that a client asks for, or for the address that
// it has reached: browsers name no addresses (RFC 6066 §3), and whoever does
// might name somebody else's.
func (a *Authority) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if _, err := netip.ParseAddr(name); name == "" || err == nil {
		addr, ok := hello.Conn.LocalAddr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("the client sent no host name")
		}
		name = addr.IP.String()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if have := a.leaves[name]; have != nil && a.now().Add(renewBefore).Before(have.Leaf.NotAfter) {
		return have, nil
	}
	made, err := a.sign(name)
	if err != nil {
		return nil, err
	}
	if len(a.leaves) >= maxLeaves {
		clear(a.leaves) // signing them again is quick
	}
	a.leaves[name] = made
	return made, nil
}

// sign creates a leaf for one name or address.
func (a *Authority) sign(name string) (*tls.Certificate, error) {
	now := a.now()
	template := &x509.Certificate{
		SerialNumber: serial(), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.leaf.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: a.leaf, Leaf: leaf}, nil
}
