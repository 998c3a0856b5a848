package preview

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// seed puts live links and revoked ones, the first of them revoked first, into
// a new file.
func seed(t *testing.T, file string, live, revoked int) (alive, ended []record) {
	t.Helper()
	now := time.Now().UTC()
	for i := range live + revoked {
		r := record{Token: newToken(), Engine: "default", Sandbox: fmt.Sprint("box-", i), Port: 3000, Label: "a label", Created: now.Add(-time.Hour)}
		if i < live {
			alive = append(alive, r)
			continue
		}
		r.Revoked = now.Add(-time.Hour + time.Duration(i)*time.Millisecond)
		ended = append(ended, r)
	}
	s := openBoltAt(t, file)
	require.NoError(t, s.Put(append(alive, ended...)...))
	require.NoError(t, s.Close())
	return alive, ended
}

// fileSize is what the links take on the disk.
func fileSize(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	return info.Size()
}

func requireHas(t *testing.T, links *Links, records ...record) {
	t.Helper()
	for _, r := range records {
		_, ok := links.Get(r.Token)
		require.True(t, ok, "a link is lost")
	}
}

func TestS32EndedLinksAreFewAndTheirRoomIsGivenBack(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "links.db")
	alive, ended := seed(t, file, 5, 12_000)
	full := fileSize(t, file)
	links := openAt(t, file, nil)
	require.Len(t, links.List(), 5+10_000)
	requireHas(t, links, append(alive, ended[2_000:]...)...)
	_, err := links.Resolve(ended[1_999].Token)
	requireProblem(t, err, api.CodeUnknownLink)
	require.NoError(t, links.Close())

	later := func(o *Options) { o.Now = func() time.Time { return time.Now().Add(Remember) } }
	links = openAt(t, file, later)
	t.Logf("%d KiB on the disk, then %d KiB", full>>10, fileSize(t, file)>>10)
	require.Less(t, fileSize(t, file), int64(leastCompacted))
	require.Len(t, links.List(), 5)
	create(t, links, Request{Sandbox: box, Port: 3000})
	require.NoError(t, links.Close())
	links = openAt(t, file, later)
	require.Len(t, links.List(), 6)
	requireHas(t, links, alive...)
	require.NoError(t, links.Close())
}

// What is kept at the next start is what the links need, not what they took
// while they lived.
func TestS32TheFileIsCompactedAtTheStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "links.db")
	s := openBoltAt(t, file)
	var all []record
	for range 1_000 {
		all = append(all, record{
			Token: newToken(), Engine: "default", Sandbox: "my-sandbox", Port: 3000, Created: time.Now().UTC(),
			Cookies: make([]byte, maxCookies*hashSize),
		})
	}
	require.NoError(t, s.Put(all...))
	for i := range all {
		all[i].Revoked, all[i].Cookies = time.Now().UTC(), nil
	}
	require.NoError(t, s.Put(all...))
	require.NoError(t, s.Close())
	before := fileSize(t, file)
	links := openAt(t, file, nil)
	requireHas(t, links, all...)
	require.NoError(t, links.Close())
	t.Logf("%d KiB on the disk, then %d KiB", before>>10, fileSize(t, file)>>10)
	require.Less(t, fileSize(t, file), before/4)
}

func TestS32TheFileIsCompactedWhileItIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "links.db")
		alive, _ := seed(t, file, 5, 5_000)
		var later atomic.Int64
		now := func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) } }
		links := openAt(t, file, now)
		require.Greater(t, fileSize(t, file), int64(1<<20))
		later.Store(int64(Remember))
		time.Sleep(flushEvery)
		synctest.Wait()
		require.Less(t, fileSize(t, file), int64(leastCompacted))
		require.Len(t, links.List(), 5)

		_, err := openBolt(context.Background(), file, time.Now, slog.New(slog.DiscardHandler))
		requireProblem(t, err, api.CodeStateLocked)
		made := create(t, links, Request{Sandbox: box, Port: 3000})
		require.NoError(t, links.Close())
		links = openAt(t, file, now)
		defer links.Close()
		requireHas(t, links, append(alive, record{Token: made.Token})...)
		entries, err := os.ReadDir(filepath.Dir(file))
		require.NoError(t, err)
		require.Len(t, entries, 1, "nothing else is left")
	})
}

func TestS32TooManyEndedLinksAreForgottenSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "links.db")
		links := openAt(t, file, func(o *Options) { o.MaxEnded = 10 })
		defer links.Close()
		kept := create(t, links, Request{Sandbox: box, Port: 3000})
		var last api.Link
		for range 30 {
			last = create(t, links, Request{Sandbox: box, Port: 3000})
			_, err := links.Revoke(last.Token)
			require.NoError(t, err)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(storeWithin)
		synctest.Wait()
		require.Len(t, links.List(), 11)
		requireHas(t, links, record{Token: kept.Token}, record{Token: last.Token})
		require.Len(t, stored(t, file), 11)
	})
}

// stored is what the file holds for another reader of the disk.
func stored(t *testing.T, file string) []record {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	records, damage := checkPages(content)
	require.NoError(t, damage)
	return records
}

func TestS32AnEndedLinkKeepsNoCookies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "links.db")
		links := openAt(t, file, nil)
		defer links.Close()
		revoked := create(t, links, Request{Sandbox: box, Port: 3000})
		expires := create(t, links, Request{Sandbox: box, Port: 3000, TTL: after(time.Minute)})
		for _, link := range []api.Link{revoked, expires} {
			live, err := links.Resolve(link.Token)
			require.NoError(t, err)
			for i := range maxCookies {
				live.Learn(fmt.Sprint("name=", i))
			}
		}
		time.Sleep(2 * storeWithin)
		synctest.Wait()
		for _, r := range stored(t, file) {
			require.Len(t, r.Cookies, maxCookies*hashSize)
		}
		_, err := links.Revoke(revoked.Token)
		require.NoError(t, err)
		time.Sleep(time.Minute + flushEvery)
		synctest.Wait()
		for _, r := range stored(t, file) {
			require.Empty(t, r.Cookies)
		}
	})
}

// childCompactEnv makes the test binary a program that opens the file that it
// names, which compacts it, and closes it.
const childCompactEnv = "PREVIEW_TEST_CHILD_COMPACT"

func openOnce(file string) {
	links, err := Open(context.Background(), Options{StateFile: file})
	if err == nil {
		err = links.Close()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func TestS32SIGKILLWhileTheFileIsCompactedLosesNoLink(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "links.db")
	alive, _ := seed(t, file, 200, 0)
	s := openBoltAt(t, file)
	many := randomRecords(rand.New(rand.NewPCG(1, 1)), 1_500)
	var gone []string
	for _, r := range many {
		gone = append(gone, r.Token)
	}
	require.NoError(t, s.Put(many...))
	require.NoError(t, s.Delete(gone...))
	require.NoError(t, s.Close())
	fat, err := os.ReadFile(file)
	require.NoError(t, err)

	midst := 0
	for round := range 16 {
		require.NoError(t, os.WriteFile(file, fat, 0o600))
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childCompactEnv+"="+file)
		require.NoError(t, child.Start())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = child.Wait() }() // killed or not
		begun := func() bool { _, err := os.Stat(file + freshSuffix); return err == nil }
		for isOpen(ended) && !begun() {
			runtime.Gosched()
		}
		for at := time.Now(); isOpen(ended) && time.Since(at) < time.Duration(round)*time.Millisecond; {
			runtime.Gosched()
		}
		_ = child.Process.Kill()
		<-ended
		if begun() {
			midst++
		}
		links := openAt(t, file, nil)
		require.Len(t, links.List(), len(alive))
		requireHas(t, links, alive...)
		require.NoError(t, links.Close())
		require.Less(t, fileSize(t, file), int64(len(fat)))
		entries, err := os.ReadDir(filepath.Dir(file))
		require.NoError(t, err)
		require.Len(t, entries, 1, "nothing else is left, and a kill is no damage")
	}
	t.Logf("of 16 kills %d came in the midst of it", midst)
}

func isOpen(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}
