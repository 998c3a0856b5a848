package client

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

func TestW1AServerOfAnotherMajorProtocolIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		health     string
		code, said string
	}{
		"the same":         {`{"status":"healthy","version":"v1.2","protocol":"` + api.Protocol + `"}`, "", ""},
		"a larger minor":   {`{"status":"degraded","version":"v1.9","protocol":"1.9","more":{"x":[1]}}`, "", ""},
		"a larger major":   {`{"status":"healthy","version":"v2.0","protocol":"2.0"}`, api.CodeProtocolMismatch, `\(version v2\.0\) speaks protocol 2\.0, and this program speaks 1\.0$`},
		"from before":      {`{"status":"healthy","version":"v0.3"}`, api.CodeProtocolMismatch, `\(version v0\.3\) is older than protocol 1\.0`},
		"no key, no word":  {`{"status":"healthy"}`, "", ""},
		"no daemon-proxy":  {`{"hello":"world"}`, api.CodeBadUpstream, "is not daemon-proxy"},
		"a control letter": {`{"status":"healthy","version":"v2","protocol":"2\u001b[2J"}`, api.CodeProtocolMismatch, `^[ -~]*$`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, got := serving(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.health) })
			err := client.Check(t.Context())
			require.Equal(t, api.Protocol, got.seen[0].Header.Get(api.ProtocolHeader))
			require.Equal(t, "/health", got.seen[0].RequestURI)
			if c.code == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, &api.Problem{Code: c.code})
			require.ErrorContains(t, err, client.URL())
			require.Regexp(t, c.said, err.Error())
			require.NotEmpty(t, api.AsProblem(err).Hint)
		})
	}
}

// What a server of a larger minor number adds is no error.
func TestW1UnknownFieldsAndKindsOfEventsAreIgnored(t *testing.T) {
	t.Parallel()
	c, _ := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/events" {
			_, _ = io.WriteString(w, `{"version":"v1.9","url":"http://x","mode":"docker","later":{"a":[]},"screens":[{"id":"a","name":"b","later":1}]}`)
			return
		}
		_, _ = io.WriteString(w, "event: attached\ndata: {\"kind\":\"attached\",\"attached\":{\"id\":\"7\",\"later\":true}}\n\n"+
			"event: later\nretry: 5\ndata: {\"kind\":\"later\",\"later\":{\"id\":1},\"time\":\"2026-01-01T00:00:00Z\"}\n\n"+
			"event: link\ndata: {\"kind\":\"link\",\"link\":{\"id\":\"k3\",\"later\":1},\"later\":[]}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	status, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "v1.9", status.Version)
	ctx, cancel := context.WithTimeout(t.Context(), wiretest.Patience)
	defer cancel()
	screen, err := c.Attach(ctx, "me")
	require.NoError(t, err)
	require.Equal(t, "7", screen.ID())
	for {
		batch, err := screen.Next(ctx)
		require.NoError(t, err)
		for _, e := range batch {
			if e.Kind == api.EventLink {
				require.Equal(t, "k3", e.Link.ID)
				return
			}
			require.Equal(t, api.EventKind("later"), e.Kind)
		}
	}
}

// The core is gone: every call says so in the same way, and what it refused is
// something else.
func TestW2ALostConnectionIsToldFromARefusal(t *testing.T) {
	t.Parallel()
	requireLost := func(t *testing.T, c *Client, err error) {
		t.Helper()
		require.ErrorIs(t, err, &api.Problem{Code: api.CodeCoreUnreachable})
		problem := api.AsProblem(err)
		require.Contains(t, problem.Detail, c.URL())
		require.NotEmpty(t, problem.Hint)
		require.Error(t, problem.Cause)
	}
	t.Run("nothing listens", func(t *testing.T) {
		t.Parallel()
		c := of(t, "http://127.0.0.1:1")
		for name, call := range map[string]func() error{
			"check":  func() error { return c.Check(t.Context()) },
			"status": func() error { _, err := c.Status(t.Context()); return err },
			"inject": func() error { return c.Inject(t.Context(), web, nil) },
			"events": func() error { _, err := c.Events(t.Context()); return err },
			"attach": func() error { _, err := c.Attach(t.Context(), "me"); return err },
			"follow": func() error { return c.Follow(t.Context(), func(api.Event) error { return nil }, nil) },
			"logs":   func() error { return closed(c.Logs(t.Context(), web, api.LogDaemon, -1, false)) },
			"shell":  func() error { _, err := c.Shell(t.Context(), web, 80, 24); return err },
			"share":  func() error { _, err := c.Share(t.Context(), "token"); return err },
			"HAR":    func() error { _, err := c.HAR(t.Context(), ""); return err },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				err := call()
				requireLost(t, c, err)
				var op *net.OpError
				require.ErrorAs(t, err, &op)
			})
		}
	})
	t.Run("it hangs up", func(t *testing.T) {
		t.Parallel()
		c, _ := serving(t, cutter(99, nil))
		_, err := c.CreateLink(t.Context(), api.LinkRequest{Port: 80})
		requireLost(t, c, err)
	})
	t.Run("it hangs up in an answer", func(t *testing.T) {
		t.Parallel()
		c, _ := serving(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"sandbox":{"name":"web"},"step":"inspect"}`+"\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		_, err := c.HAR(t.Context(), "")
		requireLost(t, c, err)
		requireLost(t, c, c.Inject(t.Context(), web, nil))
		log, err := c.Logs(t.Context(), web, api.LogDaemon, -1, true)
		require.NoError(t, err)
		defer log.Close()
		_, err = io.ReadAll(log)
		requireLost(t, c, err)
	})
	t.Run("a stream ends", func(t *testing.T) {
		t.Parallel()
		for _, end := range []func(*http.Request){
			func(*http.Request) {}, func(*http.Request) { panic(http.ErrAbortHandler) }, func(r *http.Request) { <-r.Context().Done() },
		} {
			c, _ := serving(t, func(w http.ResponseWriter, r *http.Request) { send(w, 1); end(r) })
			c.silence = wiretest.Tick * 10
			events, err := c.Events(t.Context())
			require.NoError(t, err)
			for err == nil {
				_, err = events.Next(t.Context())
			}
			requireLost(t, c, err)
		}
	})
	t.Run("a refusal", func(t *testing.T) {
		t.Parallel()
		c, _ := serving(t, func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 503, "application/problem+json", api.NewProblem(api.CodeEngineUnreachable, "no engine", "start it"))
		})
		_, err := c.Attach(t.Context(), "me")
		require.ErrorIs(t, err, &api.Problem{Code: api.CodeEngineUnreachable})
		require.NotErrorIs(t, err, &api.Problem{Code: api.CodeCoreUnreachable})
	})
	t.Run("the caller's own end", func(t *testing.T) {
		t.Parallel()
		c, _ := serving(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), wiretest.Tick)
		defer cancel()
		_, err := c.Status(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, &api.Problem{Code: api.CodeCoreUnreachable})
	})
	t.Run("what carries it knows more", func(t *testing.T) {
		t.Parallel()
		c := of(t, "http://localhost:1")
		c.http.Transport = noSSH{}
		_, err := c.Status(t.Context())
		requireLost(t, c, err)
		require.ErrorIs(t, err, &api.Problem{Code: api.CodeSSHFailed})
		require.Contains(t, api.AsProblem(err).Detail, "the connection to box ended")
		require.Equal(t, "try ssh box", api.AsProblem(err).Hint)
	})
}

var web = api.Ref{Name: "web"}

// noSSH is the transport of a bridge that has ended.
type noSSH struct{}

func (noSSH) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, api.NewProblem(api.CodeSSHFailed, "the connection to box ended", "try ssh box")
}
