// Package wsframe finds the frames in one direction of a WebSocket (RFC 6455
// §5.2), however its bytes are cut. It never fails: on bytes that are not
// frames the result is meaningless.
package wsframe

import "encoding/binary"

// OpClose is the opcode of a close frame.
const OpClose = 8

// Frame is the frame that is being read. The zero value is ready to use.
type Frame struct {
	head [14]byte
	have int    // bytes of head read
	size uint64 // of the payload, once the head is complete
	left uint64 // of it
	done bool   // the frame is complete: the next byte begins another
}

// Next reads a part of p, which is not empty: bytes of a head or of a payload.
// It returns those of the payload and what remains of p, and whether the frame
// is complete now. Its fields can be read until the next call.
func (f *Frame) Next(p []byte) (payload, rest []byte, complete bool) {
	if f.done {
		f.have, f.done = 0, false
	}
	if f.left > 0 {
		n := min(f.left, uint64(len(p)))
		payload, p = p[:n], p[n:]
		f.left -= n
	} else {
		n := copy(f.head[f.have:f.headLen()], p)
		f.have += n
		p = p[n:]
		if f.have < 2 || f.have < f.headLen() {
			return nil, p, false
		}
		f.begin()
	}
	f.done = f.left == 0
	return payload, p, f.done
}

// headLen is the length of the head, as far as its first bytes show it.
func (f *Frame) headLen() int {
	if f.have < 2 {
		return 2
	}
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func (f *Frame) begin() {
	switch f.head[1] & 0x7f {
	case 126:
		f.size = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		f.size = binary.BigEndian.Uint64(f.head[2:]) &^ (1 << 63)
	default:
		f.size = uint64(f.head[1] & 0x7f)
	}
	f.left = f.size
}

// Between reports whether the bytes read so far end with a complete frame.
func (f *Frame) Between() bool { return f.done || f.have == 0 }

// Opcode is the kind of the frame.
func (f *Frame) Opcode() int { return int(f.head[0] & 0x0f) }

// Final reports whether the frame ends its message.
func (f *Frame) Final() bool { return f.head[0]&0x80 != 0 }

// Compressed reports whether the message is compressed (RFC 7692).
func (f *Frame) Compressed() bool { return f.head[0]&0x40 != 0 }

// Size is the length of the payload.
func (f *Frame) Size() int64 { return int64(f.size) }

// Key is the masking key, nil if the payload is not masked.
func (f *Frame) Key() []byte {
	if f.head[1]&0x80 == 0 {
		return nil
	}
	return f.head[f.have-4 : f.have]
}
