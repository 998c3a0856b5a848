package preview

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestB4ExpiryEndsTheLinkAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		links := openAt(t, filepath.Join(t.TempDir(), "links.db"), nil)
		defer links.Close()
		// The later one first: the earlier one must move the timer.
		late := create(t, links, Request{Sandbox: box, Port: 3000, TTL: after(48 * time.Hour)})
		link := create(t, links, Request{Sandbox: box, Port: 3000, TTL: after(1500 * time.Millisecond)})
		start := time.Now()
		live, err := links.Resolve(link.Token)
		require.NoError(t, err)
		<-live.Context().Done()
		require.Equal(t, 1500*time.Millisecond, time.Since(start))
		requireProblem(t, context.Cause(live.Context()), api.CodeLinkExpired)
		_, err = links.Resolve(link.Token)
		require.Equal(t, 410, requireProblem(t, err, api.CodeLinkExpired).Status)
		got, ok := links.Get(link.ID)
		require.True(t, ok)
		require.Equal(t, "expired", got.State)

		live, err = links.Resolve(late.Token)
		require.NoError(t, err)
		<-live.Context().Done()
		require.Equal(t, 48*time.Hour, time.Since(start))
		require.Equal(t, 2, links.Stats().Expired)

		revoked, err := links.Revoke(late.Token)
		require.NoError(t, err)
		require.Equal(t, "expired", revoked.State, "what has ended is not ended again")
	})
}

func TestB4ExpiryIsNoticedByTheNextRequestWhenTheClockJumps(t *testing.T) {
	t.Parallel()
	var asleep atomic.Int64 // as after a night's sleep: no timer of ours has run
	links := openNew(t, func(o *Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(asleep.Load())) }
	})
	link := create(t, links, Request{Sandbox: box, Port: 3000, TTL: after(time.Hour)})
	live, err := links.Resolve(link.Token)
	require.NoError(t, err)
	asleep.Store(int64(time.Hour))
	_, err = links.Resolve(link.Token)
	requireProblem(t, err, api.CodeLinkExpired)
	require.Error(t, live.Context().Err())
}

func TestB4ExpiryIsNoticedByItselfWhenTheClockJumps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asleep atomic.Int64
		links := openAt(t, filepath.Join(t.TempDir(), "links.db"), func(o *Options) {
			o.Now = func() time.Time { return time.Now().Add(time.Duration(asleep.Load())) }
		})
		defer links.Close()
		link := create(t, links, Request{Sandbox: box, Port: 3000, TTL: after(time.Hour)})
		live, err := links.Resolve(link.Token)
		require.NoError(t, err)
		asleep.Store(int64(time.Hour))
		time.Sleep(flushEvery)
		synctest.Wait()
		requireProblem(t, context.Cause(live.Context()), api.CodeLinkExpired)
	})
}

// A login survives SIGKILL a second later, and a service that sets a new cookie
// with every answer does not make the disk busy.
func TestCookiesAreStoredOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "links.db")
		links := openAt(t, file, nil)
		defer links.Close()
		link := create(t, links, Request{Sandbox: box, Port: 3000})
		live, err := links.Resolve(link.Token)
		require.NoError(t, err)
		before := written(t, file)
		for i := range 200 {
			live.Learn(fmt.Sprint("name=", i))
			time.Sleep(5 * time.Millisecond)
			synctest.Wait()
		}
		live.Learn("login=1")
		time.Sleep(storeWithin)
		synctest.Wait()
		require.Len(t, stored(t, file)[0].Cookies, 201*hashSize)
		require.LessOrEqual(t, written(t, file)-before, uint64(2*3), "each change is written twice")
	})
}

// written is how many changes were ever written to the file.
func written(t *testing.T, file string) uint64 {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	header, err := newestHeader(content)
	require.NoError(t, err)
	return header.txid
}

func TestP10EndedLinksAreRememberedForThirtyDays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "links.db")
		links := openAt(t, file, nil)
		expired := create(t, links, Request{Sandbox: box, Port: 3000, TTL: after(time.Hour)})
		revoked := create(t, links, Request{Sandbox: box, Port: 3000})
		time.Sleep(time.Hour) // the bubble's clock: takes no time
		_, err := links.Revoke(revoked.Token)
		require.NoError(t, err)

		gone := func(links *Links) {
			_, err = links.Resolve(expired.Token)
			requireProblem(t, err, api.CodeLinkExpired)
			_, err = links.Resolve(revoked.Token)
			requireProblem(t, err, api.CodeLinkRevoked)
			require.Len(t, links.List(), 2)
		}
		gone(links)
		time.Sleep(29 * 24 * time.Hour)
		gone(links)
		require.NoError(t, links.Close())
		links = openAt(t, file, nil)
		gone(links)

		time.Sleep(24 * time.Hour)
		for _, link := range []api.Link{expired, revoked} {
			_, err = links.Resolve(link.Token)
			requireProblem(t, err, api.CodeUnknownLink)
			_, ok := links.Get(link.ID)
			require.False(t, ok)
		}
		require.Empty(t, links.List())
		time.Sleep(flushEvery)
		synctest.Wait()
		stored, err := links.store.Load()
		require.NoError(t, err)
		require.Empty(t, stored, "what is forgotten leaves the file too")
		require.NoError(t, links.Close())
	})
}

func TestCountersAreStoredEveryTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		links := openAt(t, filepath.Join(t.TempDir(), "links.db"), nil)
		defer links.Close()
		link := create(t, links, Request{Sandbox: box, Port: 3000})
		live, err := links.Resolve(link.Token)
		require.NoError(t, err)
		live.Count(1, 2)
		time.Sleep(flushEvery)
		synctest.Wait()
		stored, err := links.store.Load()
		require.NoError(t, err)
		require.Len(t, stored, 1)
		require.EqualValues(t, 1, stored[0].Requests)
		require.EqualValues(t, 2, stored[0].BytesOut)
	})
}

func TestOnChangeTellsOfEachStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		links := openAt(t, filepath.Join(t.TempDir(), "links.db"), func(o *Options) {
			o.OnChange = func(l api.Link) { told = append(told, l.ID+" "+l.State) }
		})
		defer links.Close()
		a := create(t, links, Request{Sandbox: box, Port: 3000})
		b := create(t, links, Request{Sandbox: box, Port: 3000, TTL: after(time.Second)})
		_, err := links.Revoke(a.ID)
		require.NoError(t, err)
		_, err = links.Revoke(a.ID)
		require.NoError(t, err)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{a.ID + " active", b.ID + " active", a.ID + " revoked", b.ID + " expired"}, told)
	})
}
