package docker

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/docker/docker/pkg/stdcopy"
	"github.com/stretchr/testify/require"
)

func TestFramesGivesBothStreamsInOrder(t *testing.T) {
	t.Parallel()
	var stream bytes.Buffer
	out, err := stdcopy.NewStdWriter(&stream, stdcopy.Stdout), stdcopy.NewStdWriter(&stream, stdcopy.Stderr)
	for range 100 {
		for _, w := range []struct {
			io.Writer
			text string
		}{{out, "out "}, {err, "err "}, {out, ""}, {err, strings.Repeat("x", 70_000)}} {
			_, e := io.WriteString(w.Writer, w.text)
			require.NoError(t, e)
		}
	}
	want := strings.Repeat("out err "+strings.Repeat("x", 70_000), 100)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "error with data": iotest.DataErrReader,
	} {
		got, e := io.ReadAll(&frames{r: wrap(bytes.NewReader(stream.Bytes()))})
		require.NoError(t, e, name)
		require.True(t, want == string(got), name)
	}
}

func TestFramesSaysThatAStreamIsCutOrNotOne(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ stream, got, err string }{
		"empty":        {"", "", ""},
		"cut in head":  {"\x01\x00\x00", "", "unexpected EOF"},
		"cut in frame": {"\x01\x00\x00\x00\x00\x00\x00\x05abc", "abc", "unexpected EOF"},
		"raw stream":   {"hello world", "", "not a multiplexed stream"},
		"engine error": {"\x01\x00\x00\x00\x00\x00\x00\x01a\x03\x00\x00\x00\x00\x00\x00\x04oops", "a", "the engine: oops"},
		"huge error":   {"\x03\x00\x00\x00\xff\xff\xff\xff" + strings.Repeat("e", 1<<20), "", "the engine: eee"},
	} {
		got, err := io.ReadAll(&frames{r: strings.NewReader(c.stream)})
		require.Equal(t, c.got, string(got), name)
		if c.err == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.err, name)
		require.Less(t, len(err.Error()), 2*maxSystemError, name)
	}
}

// FuzzFrames compares with the Docker project's own reading of the format.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x03abc\x02\x00\x00\x00\x00\x00\x00\x01d"))
	f.Add([]byte("\x03\x00\x00\x00\x00\x00\x00\x03abc"))
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\xff\xffabc"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		for i := 0; i+8 <= len(stream); { // theirs allocates what a head announces
			size := binary.BigEndian.Uint32(stream[i+4:])
			if size > 1<<16 || stream[i+1]|stream[i+2]|stream[i+3] != 0 { // and does not look at the zeros
				t.Skip("not both read such a stream")
			}
			i += 8 + int(size)
		}
		var want bytes.Buffer
		_, wantErr := stdcopy.StdCopy(&want, &want, bytes.NewReader(stream))
		got, err := io.ReadAll(&frames{r: bytes.NewReader(stream)})
		if wantErr == nil && err == nil {
			require.Equal(t, want.Bytes(), append([]byte(nil), got...))
			return
		}
		// Theirs keeps quiet about a cut stream and drops the piece; ours gives the piece and says so.
		require.True(t, bytes.HasPrefix(got, want.Bytes()))
	})
}
