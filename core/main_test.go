package core

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	soon = time.Minute // whatever must come, on a busy machine
	look = 10 * time.Millisecond
)

// started is a core that ends with the test.
func started(t *testing.T, change func(*Options)) *Core {
	t.Helper()
	dir := t.TempDir()
	o := Options{Config: config.Defaults(), Version: "test", Logger: slog.New(slog.NewTextHandler(wiretest.Log{T: t}, nil))}
	o.Config.StateDir, o.Config.CacheDir = dir, filepath.Join(dir, "cache")
	o.Config.Preview.StateFile = filepath.Join(dir, "links.db")
	o.Config.Logging.File = ""
	o.Config.Server.Port = wiretest.FreePort(t)
	change(&o)
	ctx, cancel := context.WithCancel(context.Background())
	c, err := Start(ctx, o)
	if err != nil {
		cancel()
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		require.NoError(t, c.Wait())
	})
	return c
}

// get asks the core over HTTP, as a program.
func get(t *testing.T, c *Core, path string) (int, map[string]any) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: soon}
	response, err := client.Get(c.URL() + path)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var body map[string]any
	_ = json.Unmarshal(raw, &body)
	return response.StatusCode, body
}

// muteEngine is a socket that accepts and never answers, until it is let through
// to another one.
type muteEngine struct {
	socket  string
	mu      sync.Mutex
	open    []net.Conn
	through string
	frozen  sync.RWMutex // locked for writing: nothing passes
}

func newMuteEngine(t *testing.T) *muteEngine {
	t.Helper()
	m := &muteEngine{socket: filepath.Join(t.TempDir(), "docker.sock")}
	l, err := net.Listen("unix", m.socket)
	require.NoError(t, err)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			m.open = append(m.open, c)
			to := m.through
			m.mu.Unlock()
			if to != "" {
				group.Go(func() { m.join(c, to) })
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		m.hangUp()
		group.Wait()
	})
	return m
}

func (m *muteEngine) join(c net.Conn, to string) {
	far, err := net.Dial("unix", to)
	if err != nil {
		c.Close()
		return
	}
	m.mu.Lock()
	m.open = append(m.open, far)
	m.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(far, passing{c, m}); far.Close() })
	both.Go(func() { _, _ = io.Copy(c, passing{far, m}); c.Close() })
	both.Wait()
}

// passing is what passes while the engine is not frozen.
type passing struct {
	io.Reader
	engine *muteEngine
}

func (p passing) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.engine.frozen.RLock()
	defer p.engine.frozen.RUnlock()
	return n, err
}

// lets connects what comes from now on to a real engine, and hangs up the rest.
func (m *muteEngine) lets(to string) {
	m.mu.Lock()
	m.through = to
	m.mu.Unlock()
	m.hangUp()
}

func (m *muteEngine) hangUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.open {
		c.Close()
	}
	m.open = nil
}

// mode is what the core says of itself.
func (c *Core) modeNow(t *testing.T) string {
	t.Helper()
	status, err := c.Status(t.Context())
	require.NoError(t, err)
	return status.Mode
}

func engineNow(t *testing.T, c *Core) api.EngineStatus {
	t.Helper()
	status, err := c.Engine(t.Context())
	require.NoError(t, err)
	return status
}

// ignoreReset is err, but nil for a connection that was cut.
func ignoreReset(err error) error {
	if err != nil && strings.Contains(err.Error(), "reset") {
		return nil
	}
	return err
}
