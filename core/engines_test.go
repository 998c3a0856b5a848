package core

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
)

// stateOf is the state of an engine that is open; "" if it is not.
func stateOf(t *testing.T, c *Core, name string) string {
	t.Helper()
	states, err := c.EngineStates(t.Context())
	require.NoError(t, err)
	for _, s := range states {
		if s.Name == name {
			return s.State
		}
	}
	return ""
}

func connects(t *testing.T, c *Core, names ...string) {
	t.Helper()
	for _, name := range names {
		require.Eventually(t, func() bool { return stateOf(t, c, name) == "connected" }, soon, look, name)
	}
}

func openNames(t *testing.T, c *Core) (names []string) {
	t.Helper()
	states, err := c.EngineStates(t.Context())
	require.NoError(t, err)
	for _, s := range states {
		names = append(names, s.Name)
	}
	return names
}

func TestANameMeansAContainerOfAnyEngine(t *testing.T) {
	t.Parallel()
	a, b := enginetest.FakeEngine(t, "web", "db"), enginetest.FakeEngine(t, "web", "train")
	c := started(t, func(o *Options) { o.Config.Docker.Engines = []string{a, b} })
	one, two := api.EngineID(a), api.EngineID(b)
	connects(t, c, one, two)

	for name, want := range map[string]api.Ref{
		"db": {Engine: one, Name: "db"}, "train": {Engine: two, Name: "train"},
		one + "/web": {Engine: one, Name: "web"}, two + "/web": {Engine: two, Name: "web"},
		b + "/web": {Engine: two, Name: "web"},
	} {
		got, err := c.Resolve(api.ParseRef(name))
		require.NoError(t, err, name)
		require.Equal(t, want, got)
	}
	require.Equal(t, "db", c.NameOf(api.Ref{Engine: one, Name: "db"}))
	require.Equal(t, two+"/web", c.NameOf(api.Ref{Engine: two, Name: "web"}))
	status, body := get(t, c, "/sandboxes/web/proxy/3000/")
	require.Equal(t, 409, status)
	require.Equal(t, api.CodeSandboxRequired, body["code"])
	require.Equal(t, []any{one + "/web", two + "/web"}, body["names"])
	status, body = get(t, c, "/sandboxes/nobody/proxy/3000/")
	require.Equal(t, 404, status)
	require.ElementsMatch(t, []any{one + "/web", two + "/web", "db", "train"}, body["names"])
	status, body = get(t, c, "/sandboxes/"+two+"/train/proxy/3000/")
	require.Equal(t, 503, status)
	require.Equal(t, api.CodeNoDaemon, body["code"], "it is found, and has none")
	status, body = get(t, c, "/sandboxes/"+two+"/web/proxy/3000/")
	require.Equal(t, 503, status)
	require.Equal(t, two+"/web", body["sandbox"])
	require.Equal(t, "POST /api/sandboxes/"+two+"/web/inject", body["hint"])
	link, err := c.CreateLink(t.Context(), api.LinkRequest{Sandbox: two + "/web", Port: 3000})
	require.NoError(t, err)
	require.Equal(t, two+"/web", link.SandboxName)

	// The default sandbox is on the first engine, whose containers are several.
	_, err = c.Resolve(api.Ref{})
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxRequired})
	require.ElementsMatch(t, []string{"web", "db"}, api.AsProblem(err).Names)
}

func TestEnginesThatAreOpenAreRemembered(t *testing.T) {
	t.Parallel()
	a, b, other := enginetest.FakeEngine(t, "one"), enginetest.FakeEngine(t, "two"), enginetest.FakeEngine(t)
	dir, configured := t.TempDir(), []string{a, b}
	run := func(do func(c *Core)) {
		t.Run("run", func(t *testing.T) { // the core ends with it
			c := started(t, func(o *Options) {
				o.Config.Docker.Engines, o.Config.StateDir = configured, dir
				o.Config.Preview.StateFile = filepath.Join(dir, "links.db")
			})
			do(c)
		})
	}
	run(func(c *Core) {
		connects(t, c, api.EngineID(a), api.EngineID(b))
		events, err := c.Events(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.CloseEngine(t.Context(), api.EngineID(a)))
		require.Equal(t, []string{api.EngineID(b)}, openNames(t, c))
		var closed, removed bool
		require.Eventually(t, func() bool {
			batch, err := events.Next(t.Context())
			require.NoError(t, err)
			for _, e := range batch {
				closed = closed || e.Engine != nil && e.Engine.Name == api.EngineID(a) && e.Engine.State == api.EngineClosed
				removed = removed || e.Kind == api.EventRemoved && e.Sandbox.Name == "one"
			}
			return closed && removed
		}, soon, look)
		require.ErrorIs(t, c.CloseEngine(t.Context(), b), &api.Problem{Code: api.CodeBadRequest}, "the last one stays open")
		ref, err := c.Resolve(api.Ref{})
		require.NoError(t, err)
		require.Equal(t, api.Ref{Engine: api.EngineID(b), Name: "two"}, ref, "the next engine leads")
		require.Equal(t, "docker", c.modeNow(t))
	})
	run(func(c *Core) {
		require.Equal(t, []string{api.EngineID(b)}, openNames(t, c))
		require.NoError(t, c.OpenEngine(t.Context(), a))
		require.NoError(t, c.OpenEngine(t.Context(), api.EngineID(a)), "it is open")
		connects(t, c, api.EngineID(a))
		ref, err := c.Resolve(api.ParseRef("one"))
		require.NoError(t, err)
		require.Equal(t, api.EngineID(a), ref.Engine)
	})
	run(func(c *Core) { require.Equal(t, []string{api.EngineID(b), api.EngineID(a)}, openNames(t, c)) })
	// One that cannot be opened any more is shown, and can be closed.
	raw, err := os.ReadFile(filepath.Join(dir, "engines.json"))
	require.NoError(t, err)
	gone := strings.Replace(string(raw), `"open":[`, `"open":["no-such-context-here",`, 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "engines.json"), []byte(gone), 0o600))
	run(func(c *Core) {
		require.Equal(t, "lost", stateOf(t, c, "no-such-context-here"))
		connects(t, c, api.EngineID(a), api.EngineID(b))
		require.NoError(t, c.CloseEngine(t.Context(), "no-such-context-here"))
		require.Equal(t, []string{api.EngineID(b), api.EngineID(a)}, openNames(t, c))
	})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "engines.json"), []byte("{"), 0o600))
	run(func(c *Core) { require.Equal(t, []string{api.EngineID(a), api.EngineID(b)}, openNames(t, c)) })
	configured = []string{other}
	run(func(c *Core) {
		require.Equal(t, []string{api.EngineID(other)}, openNames(t, c), "another configuration begins anew")
	})
}

func TestAnEngineUnderTwoNamesIsOpenedOnce(t *testing.T) {
	t.Parallel()
	a := enginetest.FakeEngine(t, "web")
	alias := filepath.Join(t.TempDir(), "alias.sock")
	require.NoError(t, os.Symlink(strings.TrimPrefix(a, "unix://"), alias))
	c := started(t, func(o *Options) { o.Config.Docker.Engines = []string{a, "unix://" + alias} })
	connects(t, c, api.EngineID(a))
	require.Equal(t, []string{api.EngineID(a)}, openNames(t, c))
	require.NoError(t, c.OpenEngine(t.Context(), "unix://"+alias))
	require.Equal(t, []string{api.EngineID(a)}, openNames(t, c))
	ref, err := c.Resolve(api.ParseRef("unix://" + alias + "/web"))
	require.NoError(t, err)
	require.Equal(t, api.Ref{Engine: api.EngineID(a), Name: "web"}, ref)
}

func TestS92AnEngineThatCannotBeUsedHoldsTheOthersNotUp(t *testing.T) {
	t.Parallel()
	a, m := enginetest.FakeEngine(t, "web"), newMuteEngine(t)
	for primary, engines := range map[string][]string{
		"answers": {a, "unix://" + m.socket, "no-such-context-here"},
		"mute":    {"unix://" + m.socket, a, "no-such-context-here"},
		"unknown": {"no-such-context-here", a, "unix://" + m.socket},
	} {
		t.Run(primary, func(t *testing.T) {
			t.Parallel()
			var c *Core
			for attempt := 0; ; attempt++ { // a busy machine may take longer than the mute engine has
				c = started(t, func(o *Options) { o.Config.Docker.Engines = engines })
				connects(t, c, api.EngineID(a))
				status, body := get(t, c, "/sandboxes/"+api.EngineID(a)+"/web/proxy/3000/")
				require.Equal(t, 503, status)
				require.Equal(t, api.CodeNoDaemon, body["code"])
				boxes, err := c.Sandboxes(t.Context())
				require.NoError(t, err)
				require.Len(t, boxes, 2)
				if stateOf(t, c, api.EngineID("unix://"+m.socket)) == "connecting" {
					break
				}
				require.Less(t, attempt, 10, "it is waited for")
			}
			require.Equal(t, "lost", stateOf(t, c, "no-such-context-here"))
			require.Eventually(t, func() bool { return stateOf(t, c, api.EngineID("unix://"+m.socket)) == "lost" }, soon, look)
			require.ErrorContains(t, c.RetryEngine(t.Context()), "no-such-context-here")
			for _, name := range []string{"nobody", "no-such-context-here/nobody"} {
				status, body := get(t, c, "/sandboxes/"+name+"/proxy/3000/")
				require.Equal(t, 503, status, name)
				require.Equal(t, api.CodeEngineUnreachable, body["code"])
				require.Contains(t, body["detail"], `no container "nobody", unless it is on no-such-context-here: there is no engine`)
			}
			status, body := get(t, c, "/sandboxes/web/proxy/3000/")
			require.Equal(t, 503, status)
			require.Equal(t, api.CodeNoDaemon, body["code"])
			require.NoError(t, c.CloseEngine(t.Context(), "no-such-context-here"))
			require.NoError(t, c.CloseEngine(t.Context(), "unix://"+m.socket))
			require.Equal(t, []string{api.EngineID(a)}, openNames(t, c))
			require.Eventually(t, func() bool { return c.modeNow(t) == "docker" }, soon, look)
		})
	}
}

func TestTenEnginesOfFiftyContainersAreOneList(t *testing.T) {
	t.Parallel()
	var engines []string
	for i := range 10 {
		var names []string
		for j := range 50 {
			names = append(names, fmt.Sprintf("box-%d-%d", i, j))
		}
		engines = append(engines, enginetest.FakeEngine(t, names...))
	}
	c := started(t, func(o *Options) { o.Config.Docker.Engines = engines })
	require.Eventually(t, func() bool {
		boxes, err := c.Sandboxes(t.Context())
		require.NoError(t, err)
		return len(boxes) == 501
	}, soon, look)
	ref, err := c.Resolve(api.ParseRef("box-7-42"))
	require.NoError(t, err)
	require.Equal(t, api.EngineID(engines[7]), ref.Engine)
}

// An engine that accepts connections and never answers is named by the doctor,
// which does not wait for it forever.
func TestP41TheDoctorNamesAnEngineThatIsFrozen(t *testing.T) {
	t.Parallel()
	fake, m := enginetest.FakeEngine(t, "web"), newMuteEngine(t)
	m.lets(strings.TrimPrefix(fake, "unix://"))
	engine := api.EngineID("unix://" + m.socket)
	c := started(t, func(o *Options) { o.Config.Docker.Engines = []string{"unix://" + m.socket} })
	connects(t, c, engine)
	m.frozen.Lock()
	defer m.frozen.Unlock()
	var failed []api.Finding
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, c.Diagnose(ctx, api.Ref{Engine: engine, Name: "web"}, func(f api.Finding) {
		if f.State == api.FoundFailed && !f.Finished {
			failed = append(failed, f)
		}
	}))
	require.Len(t, failed, 1)
	require.Equal(t, "engine", failed[0].Hop)
	require.Equal(t, "the engine has not answered for 10s", failed[0].Detail)
	require.NotEmpty(t, failed[0].Hint)
}

// Two real engines have a container of the same name. Each link leads to its own,
// and an engine that is lost or closed takes only its own links away.
func TestS91LinksOfTwoEnginesLeadToTheirOwnContainers(t *testing.T) {
	t.Parallel()
	second, relay := enginetest.StartSecond(t), newMuteEngine(t)
	relay.lets(strings.TrimPrefix(second.Host, "unix://"))
	real, name := enginetest.Require(t), enginetest.Name(t)
	service := map[string]enginetest.File{"/s": {Path: enginetest.StaticGoSource(t, endless)}}
	id := enginetest.Run(t, enginetest.Import(t, service, []string{`CMD ["/s"]`}), enginetest.RunOptions{Name: name})
	here, err := real.Inspect(t.Context(), id)
	require.NoError(t, err)
	second.Run(t, name, here.Addresses[0])
	program, far := enginetest.StaticGo(t, "daemon-proxy/cmd/daemon-proxy"), "unix://"+relay.socket
	c := started(t, func(o *Options) {
		o.Config.Docker.Engines, o.Executable = []string{real.Endpoint(), far}, program
	})
	connects(t, c, real.Name(), api.EngineID(far))
	var paths []string
	for _, engine := range []string{real.Name(), api.EngineID(far)} {
		ref := api.Ref{Engine: engine, Name: name}
		require.NoError(t, c.Inject(t.Context(), ref, nil))
		link, err := c.CreateLink(t.Context(), api.LinkRequest{Port: 3000, Sandbox: ref.Long()})
		require.NoError(t, err)
		paths = append(paths, strings.TrimPrefix(link.URL, c.URL())+"/")
	}
	answers := func(nearWant, farWant int, farCode string) {
		t.Helper()
		require.Eventually(t, func() bool {
			near, _ := get(t, c, paths[0])
			there, body := get(t, c, paths[1])
			return near == nearWant && there == farWant && body["code"] == farCode
		}, soon, look)
	}
	answers(200, 502, api.CodePortClosed) // nothing listens in the second engine's
	status, _ := get(t, c, "/sandboxes/"+name+"/proxy/3000/")
	require.Equal(t, http.StatusConflict, status)
	require.True(t, slices.ContainsFunc(c.exchanges(t, "engine:"+api.EngineID(far)), func(x api.Exchange) bool {
		return x.Ref.Engine == api.EngineID(far) && x.Sandbox == api.EngineID(far)+"/"+name
	}))
	require.Empty(t, c.exchanges(t, "engine:nowhere"))

	relay.lets("") // the second engine is lost, and with it the bridge to its container
	require.Eventually(t, func() bool { return stateOf(t, c, api.EngineID(far)) == "lost" }, soon, look)
	require.Equal(t, "connected", stateOf(t, c, real.Name()))
	status, _ = get(t, c, paths[0])
	require.Equal(t, 200, status)
	relay.lets(strings.TrimPrefix(second.Host, "unix://"))
	require.NoError(t, c.RetryEngine(t.Context()))
	answers(200, 502, api.CodePortClosed)

	require.NoError(t, c.CloseEngine(t.Context(), api.EngineID(far)))
	answers(200, 503, api.CodeEngineClosed)
	status, _ = get(t, c, "/sandboxes/"+name+"/proxy/3000/")
	require.Equal(t, 200, status, "the name is unique again")
	require.NoError(t, c.OpenEngine(t.Context(), far))
	answers(200, 502, api.CodePortClosed)
}

func (c *Core) exchanges(t *testing.T, filter string) []api.Exchange {
	t.Helper()
	list, err := c.Exchanges(t.Context(), filter, 0)
	require.NoError(t, err)
	return list
}
