package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// at is a client that has reached an address.
type at struct {
	net.Conn
	addr string
}

func (a at) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(a.addr), Port: 8080} }

// shake is a handshake for a name, which is verified as a client would.
func shake(t *testing.T, dir, name, addr string, get Get) *x509.Certificate {
	t.Helper()
	hello := &tls.ClientHelloInfo{Conn: at{addr: addr}}
	if net.ParseIP(name) == nil {
		hello.ServerName = name
	}
	have, err := get(hello)
	require.NoError(t, err)
	pem, err := os.ReadFile(AuthorityFile(dir))
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	leaf, err := x509.ParseCertificate(have.Certificate[0])
	require.NoError(t, err)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name})
	require.NoError(t, err, name)
	return leaf
}

func TestH6TheAuthorityIsMadeOnceAndSignsALeafForEachName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	a, err := OpenAuthority(dir)
	require.NoError(t, err)
	before, err := os.ReadFile(AuthorityFile(dir))
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, "tls-authority.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	info, err = os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	for _, name := range []string{"localhost", "k3v.localhost", "desk.example", "127.0.0.1", "::1", "K3V.localhost"} {
		leaf := shake(t, dir, name, "127.0.0.1", Get(func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName == "" {
				h.Conn = at{addr: name}
			}
			return a.Get(h)
		}))
		require.LessOrEqual(t, leaf.NotAfter.Sub(leaf.NotBefore), 200*24*time.Hour)
		require.Equal(t, 1, len(leaf.DNSNames)+len(leaf.IPAddresses), "one name, no wildcard")
		require.NotContains(t, strings.Join(leaf.DNSNames, ""), "*")
		require.False(t, leaf.IsCA)
	}

	a, err = OpenAuthority(dir)
	require.NoError(t, err)
	after, err := os.ReadFile(AuthorityFile(dir))
	require.NoError(t, err)
	require.Equal(t, before, after, "it is made once")
	shake(t, dir, "localhost", "", a.Get)

	require.NoError(t, os.Remove(filepath.Join(dir, "tls-authority.key")))
	_, err = OpenAuthority(dir)
	require.ErrorContains(t, err, "tls-authority.pem", "somebody may trust it: it is not replaced")
	require.ErrorContains(t, err, "remove it")
}

func TestH6NoLeafIsForAnAddressThatTheClientNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority, err := OpenAuthority(dir)
	require.NoError(t, err)
	for _, name := range []string{"192.0.2.1", "2001:db8::1", "::1%x.example"} {
		have, err := authority.Get(&tls.ClientHelloInfo{ServerName: name, Conn: at{addr: "127.0.0.1"}})
		require.NoError(t, err)
		require.Empty(t, have.Leaf.DNSNames)
		require.Equal(t, "[127.0.0.1]", fmt.Sprint(have.Leaf.IPAddresses), "what it has reached, not %s", name)
	}
}

func TestH6ALeafIsSignedAnewInTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := OpenAuthority(dir)
	require.NoError(t, err)
	hello := &tls.ClientHelloInfo{ServerName: "localhost"}
	first, err := a.Get(hello)
	require.NoError(t, err)
	again, err := a.Get(hello)
	require.NoError(t, err)
	require.Same(t, first, again)
	a.now = func() time.Time { return first.Leaf.NotAfter.Add(-time.Hour) }
	next, err := a.Get(hello)
	require.NoError(t, err)
	require.NotSame(t, first, next)
}

// The names come from outside: what is kept for them is bounded. A leaf takes
// some 4 KiB, so that of three times as many as are kept the heap would show
// 16 MiB too much.
func TestH6LeavesTakeNoEndOfMemory(t *testing.T) { // not parallel: it measures the heap
	if testing.Short() {
		t.Skip("it signs thousands of certificates")
	}
	a, err := OpenAuthority(t.TempDir())
	require.NoError(t, err)
	sign := func(from, to int) uint64 {
		for i := from; i < to; i++ {
			_, err := a.Get(&tls.ClientHelloInfo{ServerName: fmt.Sprint("x", i, ".localhost")})
			require.NoError(t, err)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		runtime.KeepAlive(a)
		return m.HeapAlloc
	}
	before := sign(0, 1)
	after := sign(1, 3*maxLeaves)
	t.Logf("heap: %d KiB, then %d KiB", before>>10, after>>10)
	require.Less(t, after, before+12<<20)
}

// pair writes a leaf of a new authority to two files.
func pair(t *testing.T, cert, key string) *x509.Certificate {
	t.Helper()
	a, err := OpenAuthority(t.TempDir())
	require.NoError(t, err)
	leaf, err := a.sign("desk.example")
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(a.leaf)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{
		key: {Type: "PRIVATE KEY", Bytes: secret}, cert: {Type: "CERTIFICATE", Bytes: leaf.Certificate[0]},
	} {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
	return leaf.Leaf
}

func TestH6FilesAreReadAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	_, err := Files(cert, key, log)
	require.ErrorContains(t, err, cert)
	first := pair(t, cert, key)
	get, err := Files(cert, key, log)
	require.NoError(t, err)
	now := func() []byte {
		c, err := get(nil)
		require.NoError(t, err)
		return c.Certificate[0]
	}
	require.Equal(t, first.Raw, now())
	second := pair(t, cert, key)
	require.Equal(t, second.Raw, now())
	require.NoError(t, os.WriteFile(cert, []byte("half a certi"), 0o600))
	require.Equal(t, second.Raw, now(), "the one before stays")
	require.Contains(t, logged.String(), "cannot be read")
	third := pair(t, cert, key)
	require.Equal(t, third.Raw, now())
}

func TestPoolTrustsTheAuthority(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	without, err := Pool(dir)
	require.NoError(t, err)
	a, err := OpenAuthority(dir)
	require.NoError(t, err)
	leaf, err := a.sign("localhost")
	require.NoError(t, err)
	_, err = leaf.Leaf.Verify(x509.VerifyOptions{Roots: without, DNSName: "localhost"})
	require.Error(t, err)
	with, err := Pool(dir)
	require.NoError(t, err)
	_, err = leaf.Leaf.Verify(x509.VerifyOptions{Roots: with, DNSName: "localhost"})
	require.NoError(t, err)
}
