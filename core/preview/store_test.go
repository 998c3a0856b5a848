package preview

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBoltIsAStore(t *testing.T) {
	t.Parallel()
	testStore(t, func(t *testing.T) func() store {
		file := filepath.Join(t.TempDir(), "links.db")
		return func() store { return openBoltAt(t, file) }
	})
}

func openBoltAt(t *testing.T, file string) *boltStore {
	t.Helper()
	s, err := openBolt(t.Context(), file, time.Now, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return s
}

// testStore is the contract of a store. place makes a new place for records
// and returns what opens it; one at a time is open.
func testStore(t *testing.T, place func(t *testing.T) (open func() store)) {
	full := record{
		Token: newToken(), Engine: "default", Sandbox: "my-sandbox", Port: 6080, Label: "a\x00b\u202e",
		Created: time.Unix(1, 2).UTC(), Expires: time.Unix(3, 4).UTC(), Revoked: time.Unix(5, 6).UTC(),
		AllowDaemonPort: true, Requests: 7, BytesIn: 8, BytesOut: 9, LastUsed: time.Unix(10, 11).UTC(),
	}
	plain := record{Token: newToken(), Sandbox: "host", Port: 1, Created: time.Unix(1, 0).UTC()}
	holds := func(t *testing.T, s store, want ...record) {
		t.Helper()
		got, err := s.Load()
		require.NoError(t, err)
		require.Equal(t, byToken(want), byToken(got))
		require.Len(t, got, len(want))
	}

	t.Run("is empty at first", func(t *testing.T) {
		t.Parallel()
		s := place(t)()
		holds(t, s)
		require.NoError(t, s.Close())
	})
	t.Run("keeps every field over a reopening", func(t *testing.T) {
		t.Parallel()
		open := place(t)
		s := open()
		require.NoError(t, s.Put(full, plain))
		holds(t, s, full, plain)
		require.NoError(t, s.Close())
		s = open()
		holds(t, s, full, plain)
		require.NoError(t, s.Close())
	})
	t.Run("replaces by token", func(t *testing.T) {
		t.Parallel()
		s := place(t)()
		require.NoError(t, s.Put(full))
		changed := full
		changed.Requests++
		require.NoError(t, s.Put(changed, plain))
		holds(t, s, changed, plain)
		require.NoError(t, s.Close())
	})
	t.Run("deletes by token", func(t *testing.T) {
		t.Parallel()
		open := place(t)
		s := open()
		require.NoError(t, s.Put(full, plain))
		require.NoError(t, s.Delete(full.Token, "unknown"))
		require.NoError(t, s.Close())
		s = open()
		holds(t, s, plain)
		require.NoError(t, s.Close())
	})
	t.Run("holds the same after it was compacted", func(t *testing.T) {
		t.Parallel()
		open := place(t)
		s := open()
		many := randomRecords(rand.New(rand.NewPCG(1, 1)), 2000)
		require.NoError(t, s.Put(append(many, plain)...))
		var gone []string
		for _, r := range many {
			gone = append(gone, r.Token)
		}
		require.NoError(t, s.Delete(gone...))
		require.NoError(t, s.Compact(1))
		holds(t, s, plain)
		require.NoError(t, s.Put(full))
		require.NoError(t, s.Compact(1))
		require.NoError(t, s.Close())
		s = open()
		holds(t, s, plain, full)
		require.NoError(t, s.Close())
	})
	t.Run("holds thousands", func(t *testing.T) {
		t.Parallel()
		open := place(t)
		s := open()
		many := randomRecords(rand.New(rand.NewPCG(1, 1)), 3000)
		require.NoError(t, s.Put(many...))
		require.NoError(t, s.Close())
		s = open()
		holds(t, s, many...)
		require.NoError(t, s.Close())
	})
	t.Run("refuses after Close", func(t *testing.T) {
		t.Parallel()
		s := place(t)()
		require.NoError(t, s.Close())
		require.Error(t, s.Put(full))
		_, err := s.Load()
		require.Error(t, err)
	})
}

func byToken(records []record) map[string]record {
	m := map[string]record{}
	for _, r := range records {
		m[r.Token] = r
	}
	return m
}

// randomRecords are records of very different length, one in fifty longer
// than a page.
func randomRecords(random *rand.Rand, n int) []record {
	records := make([]record, n)
	for i := range records {
		length := random.IntN(200)
		if i%50 == 49 {
			length = 5000 + random.IntN(9000)
		}
		records[i] = record{
			Token: newToken(), Engine: "default", Sandbox: fmt.Sprint("box-", i), Port: 1 + i%65535,
			Label: strings.Repeat("x", length), Created: time.Unix(int64(i), 0).UTC(),
		}
	}
	return records
}

func TestRecordChecksumFindsEveryFlippedBit(t *testing.T) {
	t.Parallel()
	r := randomRecords(rand.New(rand.NewPCG(1, 1)), 1)[0]
	value, err := r.encode()
	require.NoError(t, err)
	got, err := decode([]byte(r.Token), value)
	require.NoError(t, err)
	require.Equal(t, r, got)
	for bit := range len(value) * 8 {
		value[bit/8] ^= 1 << (bit % 8)
		_, err := decode([]byte(r.Token), value)
		require.Error(t, err)
		value[bit/8] ^= 1 << (bit % 8)
	}
	_, err = decode([]byte(newToken()), value)
	require.Error(t, err, "under another key")
	_, err = decode([]byte(r.Token), value[:3])
	require.Error(t, err)
}
