package preview

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

var box = api.Ref{Engine: "default", Name: "my-sandbox"}

// openAt opens the links in a file, to be closed by the test.
func openAt(t *testing.T, file string, change func(*Options)) *Links {
	t.Helper()
	options := Options{StateFile: file}
	if change != nil {
		change(&options)
	}
	links, err := Open(t.Context(), options)
	require.NoError(t, err)
	return links
}

// openNew opens the links in a new file and closes them after the test.
func openNew(t *testing.T, change func(*Options)) *Links {
	t.Helper()
	links := openAt(t, filepath.Join(t.TempDir(), "links.db"), change)
	t.Cleanup(func() { require.NoError(t, links.Close()) })
	return links
}

func create(t *testing.T, links *Links, request Request) api.Link {
	t.Helper()
	link, err := links.Create(request)
	require.NoError(t, err)
	return link
}

func after(d time.Duration) *time.Duration { return &d }

// requireProblem checks that err is a problem fit for people.
func requireProblem(t *testing.T, err error, code string) *api.Problem {
	t.Helper()
	require.ErrorIs(t, err, &api.Problem{Code: code})
	problem := api.AsProblem(err)
	require.NotEmpty(t, problem.Title)
	require.NotEmpty(t, problem.Detail)
	require.NotEmpty(t, problem.Hint)
	require.NotZero(t, problem.Status)
	return problem
}

func TestCreateResolveGetListFind(t *testing.T) {
	t.Parallel()
	links := openNew(t, nil)
	created := create(t, links, Request{Sandbox: box, Port: 6080, Label: "desktop"})
	require.Equal(t, api.Link{
		Token: created.Token, ID: PublicID(created.Token), Port: 6080, Sandbox: box, SandboxName: "my-sandbox",
		Label: "desktop", CreatedAt: created.CreatedAt, State: "active", Fence: true, StripPrefix: true,
	}, created)
	require.WithinDuration(t, time.Now(), created.CreatedAt, time.Minute)

	live, err := links.Resolve(created.Token)
	require.NoError(t, err)
	require.Equal(t, box, live.Sandbox)
	require.Equal(t, 6080, live.Port)
	require.NoError(t, live.Context().Err())

	for _, name := range []string{created.Token, created.ID} {
		got, ok := links.Get(name)
		require.True(t, ok)
		require.Equal(t, created, got)
	}
	newer := create(t, links, Request{Sandbox: box, Port: 6080})
	other := create(t, links, Request{Sandbox: api.Host, Port: 6080})
	require.Equal(t, []api.Link{other, newer, created}, links.List())

	found, ok := links.Find(box, 6080)
	require.True(t, ok)
	require.Equal(t, newer, found)
	_, ok = links.Find(box, 6081)
	require.False(t, ok)
	_, ok = links.Find(api.Ref{Engine: "other", Name: box.Name}, 6080)
	require.False(t, ok, "a sandbox of the same name on another engine is another")
}

func TestStatsCountsWhatWentThrough(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "links.db")
	links := openAt(t, file, nil)
	a := create(t, links, Request{Sandbox: box, Port: 3000})
	b := create(t, links, Request{Sandbox: box, Port: 3001})
	_, err := links.Revoke(b.Token)
	require.NoError(t, err)
	live, err := links.Resolve(a.Token)
	require.NoError(t, err)
	live.Count(10, 2000)
	live.Count(1, 1)
	live.AddBytes(0, 5)

	check := func(links *Links) {
		stats := links.Stats()
		require.Equal(t, 2, stats.Total)
		require.Equal(t, 1, stats.Active)
		require.Equal(t, 1, stats.Revoked)
		require.Zero(t, stats.Expired)
		require.EqualValues(t, 2, stats.Requests)
		got, ok := links.Get(a.ID)
		require.True(t, ok)
		require.EqualValues(t, []int64{2, 11, 2006}, []int64{got.Requests, got.BytesIn, got.BytesOut})
		require.WithinDuration(t, time.Now(), *got.LastUsedAt, time.Minute)
	}
	check(links)
	require.NoError(t, links.Close())
	links = openAt(t, file, nil) // Close has stored them
	defer links.Close()
	check(links)
}

func TestS11TokensAreRandomLabelsAndIDsGiveNothingAway(t *testing.T) {
	t.Parallel()
	// Known answer: sha256("abc") = ba7816bf 8f01cfea …, in base32 XJ4BNP4P AHH6…
	require.Equal(t, "xj4bnp4pah", PublicID("abc"))
	label := regexp.MustCompile(`^[a-z2-7]{26,63}$`) // 26 characters are 130 bits
	seen := map[string]bool{}
	for range 1000 {
		token := newToken()
		require.Regexp(t, label, token)
		require.True(t, isToken(token))
		require.False(t, seen[token])
		seen[token] = true
		require.Len(t, PublicID(token), 10)
		require.NotContains(t, token, PublicID(token))
	}
}

func TestS11UnknownLinksLookAlike(t *testing.T) {
	t.Parallel()
	links := openNew(t, nil)
	link := create(t, links, Request{Sandbox: box, Port: 3000})
	_, want := links.Resolve(newToken())
	requireProblem(t, want, api.CodeUnknownLink)
	for _, token := range []string{"", "x", link.ID, strings.ToUpper(link.Token), link.Token + "a", link.Token[:31]} {
		_, err := links.Resolve(token)
		require.Equal(t, want, err)
		if token == link.ID {
			continue // in management calls the id may stand for the token
		}
		_, ok := links.Get(token)
		require.False(t, ok)
		_, err = links.Revoke(token)
		require.Equal(t, want, err)
	}
}

func TestS11FileIsForItsUserOnly(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state", "daemon-proxy", "links.db")
	links := openAt(t, file, nil)
	require.NoError(t, links.Close())
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	require.Equal(t, os.FileMode(0o600), mode(file))
	require.Equal(t, os.FileMode(0o700), mode(filepath.Dir(file)))
	require.Equal(t, os.FileMode(0o700), mode(filepath.Dir(filepath.Dir(file))))

	require.NoError(t, os.Chmod(file, 0o644))
	links = openAt(t, file, nil)
	require.NoError(t, links.Close())
	require.Equal(t, os.FileMode(0o600), mode(file))
}

func TestS11NoTokenInProblemsAndLogs(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	links := openNew(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	link := create(t, links, Request{Sandbox: box, Port: 3000})
	_, err := links.Revoke(link.Token)
	require.NoError(t, err)
	_, err = links.Resolve(link.Token)
	problem := requireProblem(t, err, api.CodeLinkRevoked)
	require.Contains(t, problem.Detail, "3000 of my-sandbox")
	require.NotContains(t, problem.Detail+problem.Hint+problem.Title+log.String(), link.Token)
}

func TestS5LinksToDaemonPortsNeedPermission(t *testing.T) {
	t.Parallel()
	links := openNew(t, func(o *Options) { o.DaemonPort = 2290 })
	for _, port := range []int{2280, 22220, 22222, 33333, 2290} {
		_, err := links.Create(Request{Sandbox: box, Port: port})
		requireProblem(t, err, api.CodeDaemonPort)
		link := create(t, links, Request{Sandbox: box, Port: port, AllowDaemonPort: true})
		live, err := links.Resolve(link.Token)
		require.NoError(t, err)
		require.True(t, live.AllowDaemonPort)
	}
	for _, port := range []int{-1, 0, 65536} {
		_, err := links.Create(Request{Sandbox: box, Port: port, AllowDaemonPort: true})
		requireProblem(t, err, api.CodeBadPort)
	}
}

func TestS8LiveLinksAreLimited(t *testing.T) {
	t.Parallel()
	links := openNew(t, func(o *Options) { o.MaxLinks = 3 })
	var last api.Link
	for range 3 {
		last = create(t, links, Request{Sandbox: box, Port: 3000})
	}
	_, err := links.Create(Request{Sandbox: box, Port: 3000})
	require.Equal(t, 429, requireProblem(t, err, api.CodeTooMany).Status)
	require.Len(t, links.List(), 3)
	_, err = links.Revoke(last.ID)
	require.NoError(t, err)
	create(t, links, Request{Sandbox: box, Port: 3000}) // only live ones count
}

func TestS8LimitHoldsAgainstManyAtOnce(t *testing.T) {
	t.Parallel()
	links := openNew(t, func(o *Options) { o.MaxLinks = 5 })
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() { _, _ = links.Create(Request{Sandbox: box, Port: 3000}) })
	}
	group.Wait()
	require.Equal(t, 5, links.Stats().Active)
}

func TestTTL(t *testing.T) {
	t.Parallel()
	links := openNew(t, func(o *Options) { o.DefaultTTL = time.Hour })
	link := create(t, links, Request{Sandbox: box, Port: 3000})
	require.Equal(t, link.CreatedAt.Add(time.Hour), *link.ExpiresAt)
	link = create(t, links, Request{Sandbox: box, Port: 3000, TTL: after(time.Minute)})
	require.Equal(t, link.CreatedAt.Add(time.Minute), *link.ExpiresAt)
	link = create(t, links, Request{Sandbox: box, Port: 3000, TTL: after(0)})
	require.Nil(t, link.ExpiresAt, "0 is until revoked, whatever the default")
	_, err := links.Create(Request{Sandbox: box, Port: 3000, TTL: after(-1)})
	requireProblem(t, err, api.CodeBadRequest)
}

func TestB4RevokeEndsTheLinkAtOnce(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]func(api.Link) string{
		"token": func(l api.Link) string { return l.Token },
		"id":    func(l api.Link) string { return l.ID },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			links := openNew(t, nil)
			link := create(t, links, Request{Sandbox: box, Port: 3000})
			live, err := links.Resolve(link.Token)
			require.NoError(t, err)
			revoked, err := links.Revoke(handle(link))
			require.NoError(t, err)
			require.Equal(t, "revoked", revoked.State)
			require.NotNil(t, revoked.RevokedAt)

			require.Error(t, live.Context().Err())
			requireProblem(t, context.Cause(live.Context()), api.CodeLinkRevoked)
			_, err = links.Resolve(link.Token)
			require.Equal(t, 410, requireProblem(t, err, api.CodeLinkRevoked).Status)
			_, ok := links.Find(box, 3000)
			require.False(t, ok)

			again, err := links.Revoke(handle(link))
			require.NoError(t, err)
			require.Equal(t, revoked, again)
		})
	}
}

func TestB6LinksOutliveTheProgram(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "links.db")
	links := openAt(t, file, nil)
	made := []api.Link{
		create(t, links, Request{Sandbox: box, Port: 3000, Label: "dév \x00 \u202e server", TTL: after(time.Hour)}),
		create(t, links, Request{Sandbox: api.Ref{Name: "host"}, Port: 2280, AllowDaemonPort: true}),
		create(t, links, Request{Sandbox: api.Ref{Engine: "desktop", Name: "host"}, Port: 1}),
	}
	require.NoError(t, links.Close())
	links = openAt(t, file, nil)
	defer links.Close()
	for _, want := range made {
		got, ok := links.Get(want.Token)
		require.True(t, ok)
		require.Equal(t, want, got)
		_, err := links.Resolve(want.Token)
		require.NoError(t, err)
	}
}

// failingStore is a store whose disk is full from some moment on.
type failingStore struct {
	store
	err error
}

func (s *failingStore) Put(records ...record) error {
	if s.err != nil {
		return s.err
	}
	return s.store.Put(records...)
}

func TestWhatCannotBeStoredIsSaid(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "links.db")
	bolt, err := openBolt(t.Context(), file, time.Now, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	failing := &failingStore{store: bolt}
	links, err := open(Options{MaxLinks: 10, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, failing)
	require.NoError(t, err)
	link := create(t, links, Request{Sandbox: box, Port: 3000})
	live, err := links.Resolve(link.Token)
	require.NoError(t, err)

	failing.err = errors.New("no space left on device")
	_, err = links.Create(Request{Sandbox: box, Port: 3000})
	require.Contains(t, requireProblem(t, err, api.CodeStateUnusable).Detail, "no space left")
	require.Len(t, links.List(), 1, "a link that is not stored is no link")

	_, err = links.Revoke(link.Token)
	requireProblem(t, err, api.CodeStateUnusable)
	require.Error(t, live.Context().Err(), "cut all the same")
	_, err = links.Resolve(link.Token)
	requireProblem(t, err, api.CodeLinkRevoked)

	failing.err = nil
	_, err = links.Revoke(link.Token) // and so it can be tried again
	require.NoError(t, err)
	require.NoError(t, links.Close())
	links = openAt(t, file, nil)
	defer links.Close()
	_, err = links.Resolve(link.Token)
	requireProblem(t, err, api.CodeLinkRevoked)
}

func TestLinksFromManyGoroutines(t *testing.T) {
	t.Parallel()
	links := openNew(t, func(o *Options) { o.OnChange = func(api.Link) {} })
	shared := create(t, links, Request{Sandbox: box, Port: 3000})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5 {
				link, err := links.Create(Request{Sandbox: box, Port: 3000, TTL: after(time.Millisecond)})
				if err == nil {
					_, _ = links.Revoke(link.Token)
				}
			}
		})
		group.Go(func() {
			for range 500 {
				if live, err := links.Resolve(shared.Token); err == nil {
					live.Count(1, 1)
				}
				_, _ = links.Find(box, 3000)
				_ = links.Stats()
			}
		})
	}
	group.Wait()
	got, ok := links.Get(shared.Token)
	require.True(t, ok)
	require.EqualValues(t, 2000, got.Requests)
	require.Equal(t, 1, links.Stats().Active)
}

func BenchmarkResolve(b *testing.B) {
	links, err := Open(b.Context(), Options{StateFile: filepath.Join(b.TempDir(), "links.db")})
	require.NoError(b, err)
	defer links.Close()
	link, err := links.Create(Request{Sandbox: box, Port: 3000, TTL: after(time.Hour)})
	require.NoError(b, err)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			live, err := links.Resolve(link.Token)
			if err != nil {
				b.Error(err)
				return
			}
			live.Count(1, 1)
		}
	})
}

func TestResolveAndSplitAllocateNothing(t *testing.T) {
	links := openNew(t, nil)
	link := create(t, links, Request{Sandbox: box, Port: 3000, TTL: after(time.Hour)})
	target, host := "/preview/"+link.Token+"/a/b.js?x=1", link.Token+".localhost:8080"
	require.Zero(t, testing.AllocsPerRun(100, func() {
		route, err := SplitPath(target)
		token, ok := SplitHost(host, "localhost")
		if err != nil || !ok || token != route.Token {
			t.Fatal("wrong route")
		}
		live, err := links.Resolve(route.Token)
		if err != nil {
			t.Fatal(err)
		}
		live.Count(1, 1)
	}))
}

func TestLinksThatStoreAnAddressMeanTheEngineOfThatID(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "links.db")
	s := openBoltAt(t, file)
	old := record{Token: newToken(), Engine: "tcp://lab:2375", Sandbox: "web", Port: 3000, Created: time.Now()}
	require.NoError(t, s.Put(old))
	require.NoError(t, s.Close())
	links := openAt(t, file, nil)
	live, err := links.Resolve(old.Token)
	require.NoError(t, err)
	require.NoError(t, links.Close())
	require.Equal(t, api.Ref{Engine: "tcp+lab+2375", Name: "web"}, live.Sandbox)
}
