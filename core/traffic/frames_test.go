package traffic

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// frame is a WebSocket frame; a key masks it.
func frame(first byte, payload []byte, key []byte) []byte {
	b := []byte{first}
	mask := byte(0)
	if key != nil {
		mask = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	b = append(b, key...)
	for i, c := range payload {
		if key != nil {
			c ^= key[i%4]
		}
		b = append(b, c)
	}
	return b
}

func newSocket(l *Log) *Recording {
	r := l.Begin(api.Exchange{Method: "GET", Path: "/", Protocol: "websocket"})
	return r
}

func TestFramesAreReadWhicheverWayTheyArrive(t *testing.T) {
	t.Parallel()
	key := []byte{1, 2, 3, 4}
	long := bytes.Repeat([]byte("0123456789"), 7000)
	var in []byte
	in = append(in, frame(0x81, []byte("hello"), key)...)
	in = append(in, frame(0x01, []byte("frag"), key)...) // the beginning of a message
	in = append(in, frame(0x80, []byte("ment"), key)...) // and its end
	in = append(in, frame(0xc2, []byte{0xff, 0}, key)...)
	in = append(in, frame(0x89, nil, key)...)
	in = append(in, frame(0x82, long, key)...)
	in = append(in, frame(0x88, []byte{3, 0xe8}, key)...)
	want := []api.Frame{
		{FromClient: true, Opcode: 1, Size: 5, Data: []byte("hello"), Final: true},
		{FromClient: true, Opcode: 1, Size: 4, Data: []byte("frag")},
		{FromClient: true, Opcode: 0, Size: 4, Data: []byte("ment"), Final: true},
		{FromClient: true, Opcode: 2, Size: 2, Data: []byte{0xff, 0}, Final: true, Compressed: true},
		{FromClient: true, Opcode: 9, Final: true},
		{FromClient: true, Opcode: 2, Size: int64(len(long)), Data: long[:FrameLimit], Final: true},
		{FromClient: true, Opcode: 8, Size: 2, Data: []byte{3, 0xe8}, Final: true},
	}
	for _, step := range []int{1, 2, 3, 7, 1000, len(in)} {
		at := time.Unix(100, 0)
		l := New(Options{Bodies: true, Now: func() time.Time { return at }})
		r := newSocket(l)
		tap := r.TunnelIn()
		for part := in; len(part) > 0; {
			n := min(step, len(part))
			tap(bytes.Clone(part[:n]))
			part = part[n:]
		}
		d, ok := l.Get(r.ID())
		require.True(t, ok)
		for i := range want {
			want[i].Time = at
		}
		require.Equal(t, want, d.Frames, "in steps of %d", step)
		require.Equal(t, int64(len(want)), d.Exchange.Frames)
		require.Equal(t, int64(len(in)), d.BytesIn, "a live WebSocket counts up")
	}
}

func TestTheLastFramesOfBothDirectionsAreKept(t *testing.T) {
	t.Parallel()
	var told int
	l := New(Options{Bodies: true, OnChange: func() { told++ }})
	r := newSocket(l)
	in, out := r.TunnelIn(), r.TunnelOut()
	for i := range 300 {
		in(frame(0x81, fmt.Appendf(nil, "q%d", i), []byte{9, 9, 9, 9}))
		out(frame(0x81, fmt.Appendf(nil, "a%d", i), nil))
	}
	d, _ := l.Get(r.ID())
	require.Len(t, d.Frames, 200)
	require.Equal(t, "q200", string(d.Frames[0].Data))
	require.True(t, d.Frames[0].FromClient)
	require.Equal(t, "a299", string(d.Frames[199].Data))
	require.False(t, d.Frames[199].FromClient)
	require.Equal(t, int64(600), d.Exchange.Frames)
	require.Less(t, told, 20, "each frame was told")
	require.GreaterOrEqual(t, told, 2, "none was told")
}

func TestS40TheFramesOfTheOldestGoFirst(t *testing.T) {
	t.Parallel()
	l := New(Options{Bodies: true, Memory: 2 << 20})
	full := frame(0x82, make([]byte, FrameLimit), nil)
	oldest := newSocket(l)
	oldest.TunnelOut()(frame(0x81, []byte("early"), nil))
	var last *Recording
	for range 20 { // 20 × 232 KiB want to be kept
		last = newSocket(l)
		tap := last.TunnelOut()
		for range keepFrames {
			tap(full)
		}
		last.End(End{Status: 101, Protocol: "websocket"})
	}
	d, _ := l.Get(last.ID())
	require.Len(t, d.Frames, keepFrames, "the latest has its frames")
	require.Len(t, d.Frames[0].Data, FrameLimit)
	require.False(t, d.Discarded)
	d, _ = l.Get(oldest.ID())
	require.Empty(t, d.Frames)
	require.True(t, d.Discarded)
	require.Equal(t, int64(1), d.Exchange.Frames, "they are counted all the same")

	// A WebSocket that is still open shows what comes from now on.
	oldest.TunnelOut()(frame(0x81, []byte("late"), nil))
	d, _ = l.Get(oldest.ID())
	require.Len(t, d.Frames, 1)
	require.Equal(t, "late", string(d.Frames[0].Data))
	require.True(t, d.Discarded)
	require.Equal(t, int64(2), d.Exchange.Frames)

	// A body, of which the beginning is gone, is not.
	oldest.RequestBody([]byte("the end"))
	d, _ = l.Get(oldest.ID())
	require.Nil(t, d.RequestBody)
}

func TestFramesAreNotReadWithTheCaptureOff(t *testing.T) {
	t.Parallel()
	r := newSocket(New(Options{}))
	require.Nil(t, r.TunnelIn())
	require.Nil(t, r.TunnelOut())
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(0x81, []byte("hello"), []byte{1, 2, 3, 4}), 1)
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 3)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 5)
	f.Fuzz(func(t *testing.T, raw []byte, step int) {
		step = max(1, step%4096)
		read := func(step int) (frames []api.Frame) {
			var p frameParser
			for part := raw; len(part) > 0; {
				n := min(step, len(part))
				p.feed(part[:n], func(f api.Frame) { frames = append(frames, f) })
				part = part[n:]
			}
			return frames
		}
		before := bytes.Clone(raw)
		whole, pieces := read(len(raw)+1), read(step)
		require.Equal(t, whole, pieces, "it depends on how the bytes arrive")
		require.Equal(t, before, raw, "the bytes were altered")
		var total int64
		for _, f := range whole {
			require.LessOrEqual(t, len(f.Data), FrameLimit)
			require.GreaterOrEqual(t, f.Size, int64(len(f.Data)))
			total += f.Size + 2
		}
		require.LessOrEqual(t, total, int64(len(raw)))
	})
}

func BenchmarkFrames(b *testing.B) {
	r := newSocket(New(Options{Bodies: true}))
	tap := r.TunnelOut()
	data := frame(0x82, make([]byte, 32<<10), nil)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		tap(data)
	}
}
