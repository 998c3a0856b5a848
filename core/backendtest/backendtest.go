// Package backendtest is what every api.Service promises, as a test: the core
// itself, the client over HTTP and the UI's fake pass it.
package backendtest

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// patience is how long an event may take.
const patience = 10 * time.Second

// Run tests s, which must list the host and have at least two exchanges, the
// newest a GET, but for the parts without.
func Run(t *testing.T, s api.Service, without ...string) {
	for name, part := range map[string]func(*testing.T, api.Service){
		"core": core, "sandboxes": sandboxes, "inject": inject, "ports": ports, "links": links, "events": events,
		"logs": logs, "requests": requests, "repeat": repeat, "share": share, "diagnosis": diagnosis,
		"screens": screens, "screen news": screenNews,
	} {
		if !slices.Contains(without, name) {
			t.Run(name, func(t *testing.T) { part(t, s) })
		}
	}
}

var nobody = api.Ref{Name: "nobody-of-this-name"}

func requireCode(t *testing.T, code string, err error) {
	t.Helper()
	require.ErrorIs(t, err, &api.Problem{Code: code})
	require.NotEmpty(t, api.AsProblem(err).Hint)
}

func core(t *testing.T, s api.Service) {
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, status.Version)
	require.NotEmpty(t, status.Mode)
	require.Regexp(t, `^https?://[^/]+$`, status.URL)
	engines(t, s)
	if link, err := s.Demo(t.Context()); err == nil {
		require.Contains(t, link.URL, "/preview/"+link.Token)
	} else {
		requireCode(t, api.CodeEngineUnreachable, err)
	}
}

func engines(t *testing.T, s api.Service) {
	primary, err := s.Engine(t.Context())
	require.NoError(t, err)
	states, err := s.EngineStates(t.Context())
	require.NoError(t, err)
	if len(states) > 0 {
		require.Equal(t, primary.Name, states[0].Name)
		require.NoError(t, s.OpenEngine(t.Context(), primary.Name), "it is open")
	}
	choices, err := s.Engines(t.Context())
	require.NoError(t, err)
	open := map[string]bool{}
	for _, engine := range choices {
		require.NotEmpty(t, engine.Name)
		require.Equal(t, engine.Open && engine.Name == primary.Name, engine.Current)
		if engine.Open {
			open[engine.Name] = true
		}
	}
	for i, state := range states {
		require.Equal(t, i == 0, state.Primary)
		require.True(t, open[state.Name], state.Name)
	}
	require.Len(t, open, len(states))
	requireCode(t, api.CodeEngineUnreachable, s.SwitchEngine(t.Context(), nobody.Name))
	requireCode(t, api.CodeEngineUnreachable, s.OpenEngine(t.Context(), nobody.Name))
	require.NoError(t, s.CloseEngine(t.Context(), nobody.Name), "it is not open")
	if len(states) == 1 {
		requireCode(t, api.CodeBadRequest, s.CloseEngine(t.Context(), primary.Name))
	}
	after, err := s.Engines(t.Context())
	require.NoError(t, err)
	require.Equal(t, choices, after, "what fails changes nothing")
	require.NoError(t, s.RetryEngine(t.Context()))
}

func sandboxes(t *testing.T, s api.Service) {
	list, err := s.Sandboxes(t.Context())
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(list, func(box api.Sandbox) bool { return box.Ref == api.Host }))
	names := map[string]bool{}
	for _, box := range list {
		names[box.String()] = true
		for _, ref := range []api.Ref{box.Ref, api.ParseRef(box.String()), api.ParseRef(box.Long())} {
			same, err := s.Sandbox(t.Context(), ref)
			require.NoError(t, err, ref.Long())
			require.Equal(t, box.Ref, same.Ref)
			status, err := s.DaemonStatus(t.Context(), ref)
			require.NoError(t, err, ref.Long())
			require.Equal(t, box.String(), status.Sandbox)
		}
	}
	_, err = s.Sandbox(t.Context(), nobody)
	requireCode(t, api.CodeUnknownSandbox, err)
	_, err = s.DaemonStatus(t.Context(), nobody)
	requireCode(t, api.CodeUnknownSandbox, err)
	status, err := s.DaemonStatus(t.Context(), api.Ref{})
	require.NoError(t, err)
	require.True(t, names[status.Sandbox], "the default is one of them")
	_, err = s.Shell(t.Context(), nobody, 80, 24)
	requireCode(t, api.CodeUnknownSandbox, err)
	for _, change := range []func(context.Context, api.Ref) error{
		s.StartDesktop, s.StopDaemon, s.Eject, s.StartContainer, s.StopContainer, s.LeaveInjection, s.CancelInjection,
	} {
		requireCode(t, api.CodeUnknownSandbox, change(t.Context(), nobody))
	}
}

func inject(t *testing.T, s api.Service) {
	var last api.Injection
	require.NoError(t, s.Inject(t.Context(), api.Host, func(step api.Injection) { last = step }))
	require.True(t, last.Finished)
	status, err := s.DaemonStatus(t.Context(), api.Host)
	require.NoError(t, err)
	require.True(t, status.Running)
	requireCode(t, api.CodeBadRequest, s.LeaveInjection(t.Context(), api.Host)) // none is in progress
}

func diagnosis(t *testing.T, s api.Service) {
	require.NoError(t, s.Inject(t.Context(), api.Host, nil))
	requireCode(t, api.CodeUnknownSandbox, s.Diagnose(t.Context(), nobody, nil))
	var found []api.Finding
	require.NoError(t, s.Diagnose(t.Context(), api.Host, func(f api.Finding) { found = append(found, f) }))
	var hops []string
	for i, f := range found {
		require.Equal(t, i == len(found)-1, f.Finished, f.Hop)
		require.NotEmpty(t, f.Detail, f.Hop)
		if hops = append(hops, f.Hop); f.State == api.FoundFailed && !f.Finished {
			require.NotEmpty(t, f.Hint, f.Hop)
		}
	}
	require.Subset(t, []string{"core", "state", "server", "engine", "container", "carrier", "daemon", "port", "front", ""}, hops)
	require.Equal(t, "core", hops[0])
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, s.Diagnose(ended, api.Host, nil))
}

func ports(t *testing.T, s api.Service) {
	require.NoError(t, s.Inject(t.Context(), api.Host, nil))
	listeners, err := s.Listeners(t.Context(), api.Host)
	require.NoError(t, err)
	listening := map[int]bool{}
	for _, port := range listeners {
		listening[port.Port] = true
	}
	cards, err := s.Ports(t.Context(), api.Host)
	require.NoError(t, err)
	require.NotEmpty(t, cards)
	for _, card := range cards {
		require.True(t, listening[card.Port.Port] || card.Service == "unknown", "%d", card.Port.Port)
	}
}

func links(t *testing.T, s api.Service) {
	for _, name := range []string{"", api.HostName} {
		link, err := s.CreateLink(t.Context(), api.LinkRequest{Port: 3000, Sandbox: name, Label: "mine"})
		require.NoError(t, err)
		find := func() api.Link {
			all, err := s.Links(t.Context())
			require.NoError(t, err)
			i := slices.IndexFunc(all, func(l api.Link) bool { return l.ID == link.ID })
			require.GreaterOrEqual(t, i, 0)
			return all[i]
		}
		require.Equal(t, link, find())
		require.Equal(t, "active", link.State)
		require.Equal(t, "mine", link.Label)
		require.Contains(t, link.URL, "/preview/"+link.Token)
		before, err := s.LinkStats(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.RevokeLink(t.Context(), link.ID))
		require.Equal(t, "revoked", find().State)
		after, err := s.LinkStats(t.Context())
		require.NoError(t, err)
		require.Equal(t, before.Active-1, after.Active)
		require.Equal(t, before.Total, after.Total)
	}
	requireCode(t, api.CodeUnknownLink, s.RevokeLink(t.Context(), nobody.Name))
	_, err := s.CreateLink(t.Context(), api.LinkRequest{Port: 3000, Sandbox: nobody.Name})
	requireCode(t, api.CodeUnknownSandbox, err)
}

func events(t *testing.T, s api.Service) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := s.Events(ctx)
	require.NoError(t, err)
	link, err := s.CreateLink(ctx, api.LinkRequest{Port: 3000, Sandbox: api.HostName})
	require.NoError(t, err)
	for seen := false; !seen; {
		batch, err := stream.Next(ctx)
		require.NoError(t, err)
		for _, e := range batch {
			if e.Kind == api.EventLink && e.Link.ID == link.ID {
				require.Empty(t, e.Link.Token)
				require.Equal(t, link.Sandbox, e.Link.Sandbox, "its sandbox comes whole")
				seen = true
			}
		}
	}
	cancel()
	_, err = stream.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func screens(t *testing.T, s api.Service) {
	_, err := s.Attach(t.Context(), "")
	requireCode(t, api.CodeBadRequest, err)
	listed := func(screen api.Screen) *api.ScreenStatus {
		all, err := s.Screens(t.Context())
		require.NoError(t, err)
		if i := slices.IndexFunc(all, func(o api.ScreenStatus) bool { return o.ID == screen.ID() }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, err := s.Attach(ctx, "you@desk pts/3")
	require.NoError(t, err)
	other, stop := context.WithCancel(t.Context())
	defer stop()
	second, err := s.Attach(other, "you@desk pts/4")
	require.NoError(t, err)
	require.NotEqual(t, first.ID(), second.ID())
	require.Equal(t, "you@desk pts/3", listed(first).Name)
	require.False(t, listed(first).Since.IsZero())
	require.Empty(t, listed(first).Watching)

	require.NoError(t, first.Watch(ctx, api.Host))
	require.Equal(t, api.Host, listed(first).Watching)
	require.Empty(t, listed(second).Watching)
	requireCode(t, api.CodeUnknownSandbox, first.Watch(ctx, nobody))
	require.Equal(t, api.Host, listed(first).Watching, "it shows what it did before")
	require.NoError(t, first.Watch(ctx, api.Ref{}))
	require.Empty(t, listed(first).Watching)

	cancel()
	require.Eventually(t, func() bool { return listed(first) == nil }, patience, patience/1000)
	require.NotNil(t, listed(second))
}

// what another screen does is told: that it comes, what it shows, that it goes.
func screenNews(t *testing.T, s api.Service) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	one, err := s.Attach(ctx, "one")
	require.NoError(t, err)
	// until waits for an event after which the other screen is as it should be.
	until := func(id string, right func(o *api.ScreenStatus) bool) {
		t.Helper()
		for {
			batch, err := one.Next(ctx)
			require.NoError(t, err)
			for _, e := range batch {
				if e.Kind != api.EventScreens {
					continue
				}
				var found *api.ScreenStatus
				for i := range e.Screens {
					if e.Screens[i].ID == id {
						found = &e.Screens[i]
					}
				}
				if right(found) {
					return
				}
			}
		}
	}
	other, leave := context.WithCancel(ctx)
	defer leave()
	two, err := s.Attach(other, "two")
	require.NoError(t, err)
	until(two.ID(), func(o *api.ScreenStatus) bool { return o != nil && o.Name == "two" })
	require.NoError(t, two.Watch(ctx, api.Host))
	until(two.ID(), func(o *api.ScreenStatus) bool { return o != nil && o.Watching == api.Host })
	leave()
	until(two.ID(), func(o *api.ScreenStatus) bool { return o == nil })
}

func logs(t *testing.T, s api.Service) {
	_, err := s.Logs(t.Context(), api.Host, "no-log-of-this-name", -1, false)
	requireCode(t, api.CodeBadRequest, err)
	_, err = s.Logs(t.Context(), nobody, api.LogContainer, -1, false)
	requireCode(t, api.CodeUnknownSandbox, err)
}

func requests(t *testing.T, s api.Service) {
	all, err := s.Exchanges(t.Context(), "", 0)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(all), 2)
	require.True(t, slices.IsSortedFunc(all, func(a, b api.Exchange) int { return int(b.ID) - int(a.ID) }), "newest first")
	some, err := s.Exchanges(t.Context(), "", 1)
	require.NoError(t, err)
	require.Equal(t, all[:1], some)
	some, err = s.Exchanges(t.Context(), "method:get", 1)
	require.NoError(t, err)
	require.Equal(t, all[:1], some)
	none, err := s.Exchanges(t.Context(), "path:/no-such-path method:get", 0)
	require.NoError(t, err)
	require.Empty(t, none)
	detail, err := s.Exchange(t.Context(), all[0].ID)
	require.NoError(t, err)
	require.Equal(t, all[0], detail.Exchange)
	_, err = s.Exchanges(t.Context(), "nothing:x", 0)
	requireCode(t, api.CodeBadRequest, err)
	_, err = s.Exchange(t.Context(), 1<<60)
	requireCode(t, api.CodeUnknownExchange, err)
}

func repeat(t *testing.T, s api.Service) {
	newest, err := s.Exchanges(t.Context(), "", 1)
	require.NoError(t, err)
	require.Len(t, newest, 1)
	id := newest[0].ID

	detail, err := s.Exchange(t.Context(), id)
	require.NoError(t, err)
	request, response, err := s.Bodies(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, request, int(detail.RequestCaptured))
	require.Len(t, response, int(detail.ResponseCaptured))
	curl, err := s.Curl(t.Context(), id)
	require.NoError(t, err)
	require.Regexp(t, `^curl .*http://`, curl)
	rates, err := s.Rates(t.Context())
	require.NoError(t, err)
	require.Positive(t, rates.P99)
	archive, err := s.HAR(t.Context(), "method:get")
	require.NoError(t, err)
	var har struct{ Log struct{ Entries []any } }
	require.NoError(t, json.Unmarshal(archive, &har))
	require.NotEmpty(t, har.Log.Entries)

	again, err := s.Replay(t.Context(), id)
	require.NoError(t, err)
	require.Greater(t, again.ID, id)
	recorded, err := s.Exchange(t.Context(), again.ID)
	require.NoError(t, err)
	require.Equal(t, again, recorded.Exchange)

	const unknown = 1 << 60
	_, _, err = s.Bodies(t.Context(), unknown)
	requireCode(t, api.CodeUnknownExchange, err)
	_, err = s.Curl(t.Context(), unknown)
	requireCode(t, api.CodeUnknownExchange, err)
	_, err = s.Replay(t.Context(), unknown)
	requireCode(t, api.CodeUnknownExchange, err)
	_, err = s.HAR(t.Context(), "nothing:x")
	requireCode(t, api.CodeBadRequest, err)
}

func share(t *testing.T, s api.Service) {
	hour := int64(3600)
	link, err := s.CreateLink(t.Context(), api.LinkRequest{Port: 3000, Sandbox: api.HostName, TTLSeconds: &hour})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, name := range []string{link.Token, link.ID} {
		shared, err := s.Share(ctx, name)
		if err != nil {
			requireCode(t, api.CodeNoNetwork, err) // of a machine without one
			continue
		}
		require.Regexp(t, `^http://[^/]+/preview/`, shared.URL)
		require.False(t, shared.Expires.IsZero())
	}
	forever := int64(0)
	link, err = s.CreateLink(t.Context(), api.LinkRequest{Port: 3000, Sandbox: api.HostName, TTLSeconds: &forever})
	require.NoError(t, err)
	_, err = s.Share(ctx, link.ID)
	requireCode(t, api.CodeNeedsExpiry, err)
	_, err = s.Share(ctx, nobody.Name)
	requireCode(t, api.CodeUnknownLink, err)
}

// Shell tests the shell of s in a sandbox that has one.
func Shell(t *testing.T, s api.Service, ref api.Ref) {
	opening, cancel := context.WithTimeout(t.Context(), patience)
	shell, err := s.Shell(opening, ref, 91, 17)
	require.NoError(t, err)
	cancel() // which bounds the opening only
	require.NoError(t, shell.Resize(t.Context(), 120, 40))
	require.NoError(t, shell.Resize(t.Context(), 0, 1<<30), "a terminal that has no size yet")
	_, err = io.WriteString(shell, "exit 7\r")
	require.NoError(t, err)
	_, err = io.ReadAll(shell)
	require.NoError(t, err)
	code, err := shell.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, code)
	require.NoError(t, shell.Close())

	shell, err = s.Shell(t.Context(), ref, 80, 24)
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, shell)
	}()
	require.NoError(t, shell.Close())
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("Close does not end Read")
	}
}
