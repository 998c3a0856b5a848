package preview

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"daemon-proxy/core/api"
)

// stateFile is the content of a links file with the records in it, after the
// changes that give it free pages and, if there are many, branch pages.
func stateFile(t testing.TB, seed uint64, count int) ([]byte, map[string]record) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	file := filepath.Join(t.TempDir(), "links.db")
	s, err := openBolt(t.Context(), file, time.Now, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	records := map[string]record{}
	for _, batch := range [][]record{randomRecords(random, count), randomRecords(random, count/2)} {
		require.NoError(t, s.Put(batch...))
		for _, r := range batch {
			records[r.Token] = r
		}
	}
	for token := range records {
		if len(records) <= count {
			break
		}
		delete(records, token)
		require.NoError(t, s.Delete(token))
	}
	require.NoError(t, s.Close())
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return content, records
}

// The check must never find damage in what bbolt writes: random changes, of
// all sizes, and the file is sound and whole after each.
func TestSoundFilesAreFoundSound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 1))
		file := filepath.Join(t.TempDir(), "links.db")
		s := openBoltAt(t, file)
		s.db.NoSync = true // only this test's time is saved: the bytes are the same
		records := map[string]record{}
		for range 60 {
			added := randomRecords(random, random.IntN(1+random.IntN(200)))
			require.NoError(t, s.Put(added...))
			for _, r := range added {
				records[r.Token] = r
			}
			tokens := slices.Collect(maps.Keys(records))
			tokens = tokens[:random.IntN(1+len(tokens))]
			if random.IntN(4) > 0 {
				tokens = tokens[:len(tokens)/8]
			}
			require.NoError(t, s.Delete(tokens...))
			for _, token := range tokens {
				delete(records, token)
			}
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			got, damage := checkPages(content)
			require.NoError(t, damage)
			require.Equal(t, records, byToken(got))
			require.Len(t, got, len(records))
		}
		require.NoError(t, s.Close())
	}
}

func TestDamagedFilesAreSetAsideAndReadableLinksKept(t *testing.T) {
	t.Parallel()
	few, fewRecords := stateFile(t, 1, 5)
	many, manyRecords := stateFile(t, 2, 300)
	flip := func(content []byte, random *rand.Rand, where func() int) []byte {
		content = bytes.Clone(content)
		for range 8 {
			content[where()%len(content)] ^= byte(1 + random.IntN(255))
		}
		return content
	}
	page := os.Getpagesize()
	damages := map[string]func(content []byte, random *rand.Rand) []byte{
		"flips anywhere": func(content []byte, random *rand.Rand) []byte {
			return flip(content, random, random.Int)
		},
		"flips in headers and elements": func(content []byte, random *rand.Rand) []byte {
			return flip(content, random, func() int {
				return random.IntN(len(content)/page)*page + random.IntN(100)
			})
		},
		"flips in the file's headers": func(content []byte, random *rand.Rand) []byte {
			return flip(content, random, func() int { return random.IntN(2)*page + random.IntN(80) })
		},
		"cut anywhere": func(content []byte, random *rand.Rand) []byte {
			return content[:1+random.IntN(len(content)-1)]
		},
		"cut at a page": func(content []byte, random *rand.Rand) []byte {
			return content[:page*(1+random.IntN(len(content)/page-1))]
		},
		"a page lost": func(content []byte, random *rand.Rand) []byte {
			content = bytes.Clone(content)
			clear(content[random.IntN(len(content)/page)*page:][:page])
			return content
		},
		"a page doubled": func(content []byte, random *rand.Rand) []byte {
			content = bytes.Clone(content)
			copy(content[random.IntN(len(content)/page)*page:], content[random.IntN(len(content)/page)*page:][:page])
			return content
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			salvaged := 0
			for seed := range uint64(30) {
				random := rand.New(rand.NewPCG(seed, 2))
				content, records := few, fewRecords
				if seed%2 == 1 {
					content, records = many, manyRecords
				}
				salvaged += openDamaged(t, damage(content, random), records)
			}
			require.NotZero(t, salvaged, "nothing was ever salvaged")
		})
	}
}

// openDamaged opens a links file with the content, which was damaged, and
// checks that nothing is lost but what is unreadable: the links are those of
// records or fewer, never others, and if fewer, the damaged file is kept as it
// was. It returns how many links were kept.
func openDamaged(t *testing.T, content []byte, records map[string]record) int {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "links.db")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	var log bytes.Buffer
	links := openAt(t, file, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	kept := links.List()
	for _, link := range kept {
		want, ok := records[link.Token]
		require.True(t, ok, "a link that never was")
		require.Equal(t, want, links.byID[link.ID].record())
	}
	added := create(t, links, Request{Sandbox: box, Port: 3000})
	require.NoError(t, links.Close())

	aside, err := filepath.Glob(file + ".damaged-*")
	require.NoError(t, err)
	if len(kept) < len(records) {
		require.Len(t, aside, 1)
	}
	if len(aside) > 0 {
		saved, err := os.ReadFile(aside[0])
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, saved), "the damaged file is kept as it was")
		require.Contains(t, log.String(), "level=WARN")
		require.Contains(t, log.String(), aside[0])
	}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1+len(aside))
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}

	links = openAt(t, file, nil) // and goes on as if nothing had been
	require.Len(t, links.List(), len(kept)+1)
	_, err = links.Resolve(added.Token)
	require.NoError(t, err)
	require.NoError(t, links.Close())
	again, err := filepath.Glob(file + ".damaged-*")
	require.NoError(t, err)
	require.Equal(t, aside, again)
	return len(kept)
}

func TestOneDamagedRecordCostsNoOther(t *testing.T) {
	t.Parallel()
	for _, count := range []int{4, 300} {
		content, records := stateFile(t, 3, count)
		victim := slices.Collect(maps.Keys(records))[0]
		at := bytes.Index(content, []byte(`{"token":"`+victim))
		for ; at >= 0; at = nextIndex(content, at, []byte(`{"token":"`+victim)) {
			content[at+20] ^= 1 // all copies, those in free pages too
		}
		require.Equal(t, len(records)-1, openDamaged(t, content, records))
	}
}

func nextIndex(content []byte, at int, what []byte) int {
	next := bytes.Index(content[at+1:], what)
	if next < 0 {
		return -1
	}
	return at + 1 + next
}

// A branch that points to itself sends bbolt round until the memory is full.
func TestCirclesInTheFileEnd(t *testing.T) {
	t.Parallel()
	content, records := stateFile(t, 4, 300)
	page, found := os.Getpagesize(), false
	for at := 2 * page; at < len(content); at += page {
		if binary.NativeEndian.Uint16(content[at+8:]) == branchPage {
			for i := range int(binary.NativeEndian.Uint16(content[at+10:])) {
				copy(content[at+pageHeaderSize+i*branchElementSize+8:], content[at:at+8])
			}
			found = true
		}
	}
	require.True(t, found)
	openDamaged(t, content, records)
}

func TestFilesThatWereNeverOursAreLeftAlone(t *testing.T) {
	t.Parallel()
	binary, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	for name, content := range map[string][]byte{
		"config": []byte("preview:\n  default_ttl: 1h\n"), "short": []byte("ab\n"), "sqlite": []byte("SQLite format 3\x00\x10\x00\x01\x01"),
		"program": binary[:10000],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "config.yaml")
			require.NoError(t, os.WriteFile(file, content, 0o600))
			_, err := Open(t.Context(), Options{StateFile: file})
			problem := requireProblem(t, err, api.CodeStateUnusable)
			require.Contains(t, problem.Detail, file)
			require.Contains(t, problem.Hint, "preview.state_file")
			got, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, content, got)
		})
	}
}

// What has the links file's own name is one, whatever is left of it.
func TestALinksFileDamagedBeyondRecognitionIsSetAside(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), linksName)
	content := []byte("this was a file of links\n")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	links := openAt(t, file, nil)
	create(t, links, Request{Sandbox: box, Port: 3000})
	require.NoError(t, links.Close())
	aside, err := filepath.Glob(file + ".damaged-*")
	require.NoError(t, err)
	require.Len(t, aside, 1)
	got, err := os.ReadFile(aside[0])
	require.NoError(t, err)
	require.Equal(t, content, got)
	links = openAt(t, file, nil)
	require.Len(t, links.List(), 1)
	require.NoError(t, links.Close())
}

func TestFoldersAndMissingRightsAreExplained(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	_, err := Open(t.Context(), Options{StateFile: folder})
	require.Contains(t, requireProblem(t, err, api.CodeStateUnusable).Detail, folder)

	file := filepath.Join(folder, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = Open(t.Context(), Options{StateFile: filepath.Join(file, "links.db")})
	require.Contains(t, requireProblem(t, err, api.CodeStateUnusable).Detail, "not a directory")

	_, err = Open(t.Context(), Options{StateFile: "/proc/links.db"})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestASecondInstanceIsToldWhoHasTheFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the wait for the lock takes no time here
		file := filepath.Join(t.TempDir(), "links.db")
		links := openAt(t, file, nil)
		link := create(t, links, Request{Sandbox: box, Port: 3000})
		_, err := Open(t.Context(), Options{StateFile: file})
		problem := requireProblem(t, err, api.CodeStateLocked)
		require.Contains(t, problem.Detail, file)
		require.Contains(t, problem.Hint, "preview.state_file")
		_, err = links.Resolve(link.Token)
		require.NoError(t, err)
		require.NoError(t, links.Close())
		links = openAt(t, file, nil)
		require.Len(t, links.List(), 1)
		require.NoError(t, links.Close())
	})
}

func TestASecondInstanceTakesOverWhenTheFirstEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "links.db")
		first := openAt(t, file, nil)
		create(t, first, Request{Sandbox: box, Port: 3000})
		closed := time.AfterFunc(lockTimeout/2, func() { _ = first.Close() })
		defer closed.Stop()
		second := openAt(t, file, nil)
		require.Len(t, second.List(), 1)
		require.NoError(t, second.Close())
	})
}

// The lock that was waited for may be that of a file which its holder has
// replaced: two programs must not end up with a file each.
func TestALockOnAReplacedFileIsNotTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		file := filepath.Join(folder, "links.db")
		first, err := openLocked(t.Context(), file)
		require.NoError(t, err)
		replaced := time.AfterFunc(lockTimeout/2, func() {
			_ = os.Rename(file, filepath.Join(folder, "old"))
			_ = os.WriteFile(file, nil, 0o600)
			_ = first.Close()
		})
		defer replaced.Stop()
		second, err := openLocked(t.Context(), file)
		require.NoError(t, err)
		defer second.Close()
		require.True(t, isAt(second, file))
	})
}

func TestDamageInUseIsAnErrorNotACrash(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, int64(os.Getpagesize()), int64(3 * os.Getpagesize())} {
		file := filepath.Join(t.TempDir(), "links.db")
		links := openAt(t, file, nil)
		for range 40 {
			create(t, links, Request{Sandbox: box, Port: 3000})
		}
		require.NoError(t, os.Truncate(file, size)) // the map now ends in nothing: SIGBUS
		_, err := links.Create(Request{Sandbox: box, Port: 3000})
		requireProblem(t, err, api.CodeStateUnusable)
		_, err = links.Create(Request{Sandbox: box, Port: 3000})
		requireProblem(t, err, api.CodeStateUnusable)
		require.Len(t, links.List(), 40)
		_ = links.Close() // may or may not have something to store; returns

		links = openAt(t, file, nil)
		create(t, links, Request{Sandbox: box, Port: 3000})
		require.NoError(t, links.Close())
	}
}

func TestPanicsOfBoltAreErrors(t *testing.T) {
	t.Parallel()
	s := openBoltAt(t, filepath.Join(t.TempDir(), "links.db"))
	err := s.update(func(*bbolt.Bucket) error { panic("page 7 already freed") })
	require.ErrorIs(t, err, errBroken)
	require.ErrorContains(t, err, "page 7 already freed")
	require.ErrorIs(t, s.Put(record{Token: "x"}), errBroken)
	require.NoError(t, s.Close())
}

// FuzzCheckPages changes bytes of sound files: each five bytes of patch are a
// place and what is put there.
func FuzzCheckPages(f *testing.F) {
	var files [][]byte
	for seed, count := range []int{0, 3, 60} {
		content, _ := stateFile(f, uint64(seed), count)
		files = append(files, content)
		f.Add(seed, 0, []byte{})
		f.Add(seed, len(content)/2, []byte{0, 0, 0, 16, 1, 0, 0, 0x20, 8, 2})
	}
	small := 1 // its list of links lies within the root bucket's page
	for at := range files[small] {
		if at%os.Getpagesize() < 0x80 { // the headers and the first elements, byte by byte
			f.Add(small, 0, append(binary.BigEndian.AppendUint32(nil, uint32(at)), 0xD7))
		}
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, file, cut int, patch []byte) {
		content := bytes.Clone(files[uint(file)%uint(len(files))])
		for ; len(patch) >= 5; patch = patch[5:] {
			content[binary.BigEndian.Uint32(patch)%uint32(len(content))] = patch[4]
		}
		content = content[:len(content)-int(uint(cut)%uint(len(content)))]
		records, damage := checkPages(content)
		if damage != nil {
			return
		}
		// What is found sound, bbolt can read and change.
		opened, err := os.CreateTemp(folder, "")
		require.NoError(t, err)
		_, err = opened.Write(content)
		require.NoError(t, err)
		s, err := openSound(opened, opened.Name())
		require.NoError(t, err)
		got, err := s.Load()
		require.NoError(t, err)
		require.Equal(t, byToken(records), byToken(got))
		require.NoError(t, s.Put(randomRecords(rand.New(rand.NewPCG(1, 1)), 60)...))
		require.NoError(t, s.Close())
		require.NoError(t, os.Remove(opened.Name()))
	})
}
