// Package backendtest is what every api.Service promises, as a test: the core
// itself, the client over HTTP and the UI's fake pass it.
package backendtest

import (
	"context"
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
		"sandboxes": sandboxes, "inject": inject, "ports": ports, "links": links, "events": events,
		"logs": logs, "requests": requests,
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
	_, err = s.Engine(t.Context())
	require.NoError(t, err)
}

func inject(t *testing.T, s api.Service) {
	var last api.Injection
	require.NoError(t, s.Inject(t.Context(), api.Host, func(step api.Injection) { last = step }))
	require.True(t, last.Finished)
	status, err := s.DaemonStatus(t.Context(), api.Host)
	require.NoError(t, err)
	require.True(t, status.Running)
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
