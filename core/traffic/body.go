package traffic

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

// unpackedLimit bounds what a packed body may become.
const unpackedLimit = 256 << 10

// readable is what may be shown of the captured beginning of a body: unpacked,
// and its secrets masked. It is nil if the body is packed in a way that is not
// read here.
func readable(h http.Header, captured []byte) []byte {
	return logging.MaskBody(h.Get("Content-Type"), unpack(strings.ToLower(h.Get("Content-Encoding")), captured), mask)
}

// unpack is the plain beginning of a body; nil if that is not known.
func unpack(encoding string, packed []byte) []byte {
	var r io.Reader
	var err error
	switch encoding {
	case "", "identity":
		return packed
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(packed))
	case "deflate":
		if r, err = zlib.NewReader(bytes.NewReader(packed)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(packed)), nil
		}
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	plain, _ := io.ReadAll(io.LimitReader(r, unpackedLimit)) // what was captured may end anywhere
	if len(plain) == 0 {
		return nil
	}
	return plain
}

// maskFrames masks the secrets in the text of frames.
func maskFrames(frames []api.Frame) {
	for i := range frames {
		if f := &frames[i]; !f.Compressed && f.Opcode <= 1 { // text and what continues it
			f.Data = logging.MaskBody("", f.Data, mask)
		}
	}
}

// Bodies are the captured beginnings of both bodies as they passed, secrets
// included: for callers that need them on purpose.
func (l *Log) Bodies(id uint64) (request, response []byte, ok bool) {
	r := l.find(id)
	if r == nil {
		return nil, nil, false
	}
	if d := r.detail.Load(); d != nil {
		request, response = d.bodies()
	}
	return request, response, true
}
