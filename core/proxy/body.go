package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
)

var errChunk = errors.New("malformed chunk")

// answerBody reads the body of an answer off its connection, by the framing
// that readAnswerHead found in the head. Unlike http.Response.Body it
// returns what has arrived without waiting for the rest of a chunk, and takes
// no lock.
type answerBody struct {
	up      *upstream
	chunked bool
	left    int64 // bytes left of the body or of this chunk; negative: to the end of the connection
	inChunk bool  // the line break after this chunk is still to be read
	last    bool  // the last chunk was seen, the trailer section is next
	done    bool
	trailer http.Header
}

func newAnswerBody(up *upstream, resp *http.Response) *answerBody {
	b := &answerBody{up: up}
	switch {
	case resp.Body == http.NoBody: // HEAD, 204, 304, or a length of 0
		b.done = true
	case len(resp.TransferEncoding) > 0:
		b.chunked = true
	default:
		b.left = resp.ContentLength
	}
	return b
}

// Read returns some bytes, and io.EOF only after all of the body.
func (b *answerBody) Read(p []byte) (int, error) {
	if b.chunked && b.left == 0 && !b.done {
		if err := b.nextChunk(); err != nil {
			return 0, err
		}
	}
	if b.done {
		return 0, io.EOF
	}
	if b.left >= 0 {
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.up.br.Read(p)
	if b.left < 0 {
		b.done = errors.Is(err, io.EOF)
		return n, err
	}
	b.took(int64(n))
	if err != nil {
		return n, cutShort(err)
	}
	return n, nil
}

// took counts n bytes that were read of the body.
func (b *answerBody) took(n int64) {
	b.left -= n
	b.done = b.left == 0 && !b.chunked
}

// nextChunk begins the next chunk or ends the body.
func (b *answerBody) nextChunk() error {
	if !b.last {
		if err := b.chunkLine(); err != nil {
			return err
		}
	}
	if !b.last {
		return nil
	}
	if err := b.readTrailer(); err != nil {
		return err
	}
	b.done = true
	return nil
}

// peek reads the line of the first chunk, if there is one: at once, or only if
// that takes no waiting.
func (b *answerBody) peek(wait bool) error {
	if !b.chunked {
		return nil
	}
	if !wait {
		have, _ := b.up.br.Peek(b.up.br.Buffered())
		if bytes.IndexByte(have, '\n') < 0 {
			return nil
		}
	}
	return b.chunkLine()
}

// empty reports whether there is no body at all; it may have to wait for the first byte.
func (b *answerBody) empty() (bool, error) {
	if b.done {
		return true, nil
	}
	if b.chunked {
		err := b.peek(true)
		return b.last, err
	}
	if b.left > 0 {
		return false, nil
	}
	_, err := b.up.br.Peek(1)
	if errors.Is(err, io.EOF) {
		b.done = true
		return true, nil
	}
	return false, err
}

// chunkLine reads "size [;extensions] CRLF" (RFC 9112 §7.1). A line break
// without CR is refused, and a CR without a line break (RFC 9112 §2.2): not all
// take it for one, and that is how two readers come to disagree about where an
// answer ends.
func (b *answerBody) chunkLine() error {
	if b.left > 0 {
		return nil // read by peek
	}
	if b.inChunk {
		var crlf [2]byte
		if _, err := io.ReadFull(b.up.br, crlf[:]); err != nil {
			return cutShort(err)
		}
		if crlf != [2]byte{'\r', '\n'} {
			return errChunk
		}
	}
	line, err := b.up.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return errChunk
	}
	if err != nil {
		return cutShort(err)
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.IndexByte(line, '\r') >= 0 {
		return errChunk
	}
	line, _, _ = bytes.Cut(line, []byte(";"))
	b.left, err = parseHex(bytes.TrimRight(line, " \t"))
	b.inChunk = true
	b.last = b.left == 0
	return err
}

// parseHex is strict: digits only, at most 15 of them, so that it cannot overflow.
func parseHex(s []byte) (n int64, err error) {
	if len(s) == 0 || len(s) > 15 {
		return 0, errChunk
	}
	for _, c := range s {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, errChunk
		}
		n = n<<4 | int64(c)
	}
	return n, nil
}

// readTrailer reads the trailer section, which is mostly an empty line.
func (b *answerBody) readTrailer() error {
	two, err := b.up.br.Peek(2)
	if err != nil {
		return cutShort(err)
	}
	if string(two) == "\r\n" {
		_, err = b.up.br.Discard(2)
		return err
	}
	b.up.src.limit = maxTrailerBytes
	defer func() { b.up.src.limit = -1 }()
	var section []byte
	for {
		line, err := b.up.br.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("trailer section: %w", cutShort(err))
		}
		if !bytes.HasSuffix(line, []byte("\r\n")) {
			return errChunk // see chunkLine
		}
		section = append(section, line...)
		if len(line) == len("\r\n") {
			break
		}
	}
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(section))).ReadMIMEHeader()
	if err != nil {
		return fmt.Errorf("trailer section: %w", err)
	}
	b.trailer = http.Header(h)
	return nil
}

// cutShort is err, where the end of the connection is none that was expected.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
