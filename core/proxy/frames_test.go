package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// frame is a WebSocket frame: its first byte (FIN, reserved bits, opcode) and
// its payload, masked as a client's or not (RFC 6455 §5.2).
func frame(first byte, masked bool, payload string) string {
	b := frameHead(first, masked, len(payload))
	if !masked {
		return string(b) + payload
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return string(b)
}

// frameHead is the head of a frame without its key.
func frameHead(first byte, masked bool, length int) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(length))
	}
	if masked {
		b[1] |= 0x80
	}
	return b
}

const (
	more         = 0x00 // continues, and is not the last
	last         = 0x80 // continues, and is the last
	textBegins   = 0x01
	text         = 0x81
	binaryBegins = 0x02
	binaryWhole  = 0x82
	bye          = 0x88
	ping         = 0x89
	pong         = 0x8a
)

// piece is a frame to be sent by either side.
type piece struct {
	first   byte
	payload string
}

// framings are what a WebSocket's two ends may send each other, or may refuse,
// which is for them to do: not a byte of it is the proxy's business.
func framings() map[string][]piece {
	const notUTF8 = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"
	all := map[string][]piece{
		"empty messages":               {{text, ""}, {binaryWhole, ""}},
		"fragments":                    {{textBegins, "fragment1"}, {more, "fragment2"}, {more, ""}, {last, "fragment3"}},
		"empty fragments":              {{textBegins, ""}, {more, ""}, {last, ""}},
		"pings between fragments":      {{binaryBegins, "a"}, {ping, "are you there"}, {more, "b"}, {ping, ""}, {pong, "yes"}, {last, "c"}},
		"many fragments":               slicesOf(500, piece{more, "x"}, piece{textBegins, "x"}, piece{last, "x"}),
		"longest ping":                 {{ping, strings.Repeat("\xfe", 125)}},
		"ping that is too long":        {{ping, strings.Repeat("\xfe", 126)}},
		"pong nobody asked for":        {{pong, "unsolicited"}, {ping, "1"}, {ping, "2"}},
		"fragmented ping":              {{ping & 0x0f, "a"}, {last, "b"}},
		"continuation of nothing":      {{last, "a"}, {more, "b"}, {text, "c"}},
		"a message within a message":   {{textBegins, "a"}, {text, "b"}, {last, "c"}},
		"reserved bits":                {{text | 0x70, "a"}, {text | 0x40, "b"}, {ping | 0x10, ""}},
		"reserved opcodes":             {{0x83, "a"}, {0x87, ""}, {0x8b, "b"}, {0x8f, "c"}},
		"text that is no UTF-8":        {{text, notUTF8}, {text, "\xff\xfe\xfd"}, {text, "\xc0\x80"}},
		"UTF-8 cut between two frames": {{textBegins, "\xce"}, {more, "\xba\xe1"}, {last, "\xbd\xb9"}},
		"close without code":           {{bye, ""}},
		"close with half a code":       {{bye, "\x03"}},
		"close, reason of no UTF-8":    {{bye, "\x03\xe8" + notUTF8}},
		"close, longest reason":        {{bye, "\x03\xe8" + strings.Repeat("*", 123)}},
		"close, and more":              {{bye, "\x03\xe8"}, {ping, "late"}, {text, "later"}},
	}
	for _, n := range []int{125, 126, 127, 128, 65535, 65536, 1 << 20} {
		all[fmt.Sprintf("message of %d bytes", n)] = []piece{{binaryWhole, string(pattern(n))}}
	}
	for _, code := range []uint16{0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1009, 1011, 1012, 1015, 1016, 2999, 3000, 4999, 5000, 65535} {
		all[fmt.Sprintf("close with %d", code)] = []piece{{bye, string(binary.BigEndian.AppendUint16(nil, code)) + "reason"}}
	}
	return all
}

func slicesOf(n int, middle, first, end piece) []piece {
	all := []piece{first}
	for range n {
		all = append(all, middle)
	}
	return append(all, end)
}

func TestP7EveryFrameArrivesAsItWasSent(t *testing.T) {
	t.Parallel()
	for name, pieces := range framings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, client, daemon := opened(t)
			for _, way := range []struct {
				from, to *wiretest.Conn
				masked   bool
			}{{client, daemon, true}, {daemon, client, false}} {
				var sent strings.Builder
				for _, p := range pieces {
					sent.WriteString(frame(p.first, way.masked, p.payload))
				}
				go func() { _, _ = io.WriteString(way.from.TCPConn, sent.String()) }()
				require.True(t, sent.String() == way.to.Next(sent.Len()), "masked: %t", way.masked)
			}
			ended(t, f, client, daemon)
		})
	}
}

// ended closes one side and then the other, and sees that nothing more came.
func ended(t *testing.T, f *front, client, daemon *wiretest.Conn) outcome {
	t.Helper()
	require.NoError(t, client.CloseWrite())
	rest, err := daemon.Rest()
	require.NoError(t, err)
	require.Empty(t, rest, "the proxy adds nothing")
	require.NoError(t, daemon.CloseWrite())
	rest, err = client.Rest()
	require.NoError(t, err)
	require.Empty(t, rest)
	o := f.result(t)
	require.NoError(t, o.Err)
	return o
}

// A frame arrives byte by byte as it is sent: none waits for its end.
func TestP7NoByteOfAFrameIsHeldBack(t *testing.T) {
	t.Parallel()
	f, client, daemon := opened(t)
	for _, masked := range []bool{true, false} {
		from, to := client, daemon
		if !masked {
			from, to = daemon, client
		}
		all := frame(textBegins, masked, "cut \xce") + frame(ping, masked, "p") + frame(last, masked, "\xba") + frame(binaryWhole, masked, string(pattern(130)))
		for i := range len(all) {
			from.Send(all[i : i+1])
			require.Equal(t, all[i:i+1], to.Next(1))
		}
	}
	ended(t, f, client, daemon)
}

// A frame of 64 MiB that nothing compresses goes through whole, both ways at
// once, in one frame and in fragments.
func TestP7FramesOf64MiB(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	for name, fragments := range map[string]int{"one frame": 1, "fragments of 64 KiB": 1024} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, client, daemon := opened(t)
			part := pattern(size / fragments)
			total := 0
			sums := make(chan [sha256.Size]byte, 4)
			for _, way := range []struct {
				from, to *wiretest.Conn
				masked   bool
			}{{client, daemon, true}, {daemon, client, false}} {
				require.NoError(t, way.from.SetDeadline(time.Now().Add(6*wiretest.Patience)))
				length := fragments * (len(frameHead(more, way.masked, len(part))) + len(part))
				if way.masked {
					length += 4 * fragments
				}
				total += length
				go func() { sums <- sendFragments(way.from.TCPConn, way.masked, fragments, part) }()
				go func() {
					sum := sha256.New()
					_, _ = io.CopyN(sum, way.to.Reader, int64(length))
					sums <- [sha256.Size]byte(sum.Sum(nil))
				}()
			}
			count := map[[sha256.Size]byte]int{}
			for range 4 {
				select {
				case s := <-sums:
					count[s]++
				case <-time.After(6 * wiretest.Patience):
					require.FailNow(t, "the frames did not arrive")
				}
			}
			require.Len(t, count, 2, "what arrived is what was sent")
			for _, n := range count {
				require.Equal(t, 2, n)
			}
			o := ended(t, f, client, daemon)
			require.EqualValues(t, total, o.BytesIn+o.BytesOut)
		})
	}
}

// sendFragments sends a message of that many fragments, all alike, and returns
// the checksum of what it wrote.
func sendFragments(w io.Writer, masked bool, fragments int, part []byte) [sha256.Size]byte {
	sum := sha256.New()
	to := io.MultiWriter(w, sum)
	for i := range fragments {
		first := byte(more)
		if i == 0 {
			first = binaryBegins
		}
		if i == fragments-1 {
			first |= last
		}
		head := frameHead(first, masked, len(part))
		if masked {
			head = append(head, 0, 0, 0, 0) // a key that changes nothing
		}
		if _, err := to.Write(head); err != nil {
			break
		}
		if _, err := to.Write(part); err != nil {
			break
		}
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// The proxy knows where frames end, however long they are and however they
// come: its own close frame fits between two only.
func TestP7FramesAreFollowedWhateverTheirSize(t *testing.T) {
	t.Parallel()
	for name, pieces := range framings() {
		for _, masked := range []bool{true, false} {
			var all bytes.Buffer
			for _, p := range pieces {
				all.WriteString(frame(p.first, masked, p.payload))
			}
			b := all.Bytes()
			var whole, bytewise flow
			whole.seen(b)
			require.True(t, whole.frame.Between(), name)
			for i := range b {
				bytewise.seen(b[i : i+1])
			}
			require.True(t, bytewise.frame.Between(), name)
			require.Equal(t, strings.HasPrefix(name, "close"), whole.closed, name)
		}
	}
}
