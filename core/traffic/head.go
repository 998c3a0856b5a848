package traffic

import (
	"encoding/binary"
	"maps"
	"net/http"
	"slices"

	"daemon-proxy/core/logging"
)

const (
	// HeadLimit is how many bytes of each head are kept: of the request's target
	// and header, and of the response's header.
	HeadLimit = 64 << 10
	// targetLimit and valueLimit are how much is kept of a target and of one
	// value of a head that is longer than HeadLimit.
	targetLimit = 16 << 10
	valueLimit  = 4 << 10
	// entryCost is what one text costs beside its bytes.
	entryCost = 3
)

// head is the texts of a head in one piece of memory of known size.
type head struct {
	packed []byte // nil: there is none
	size   int64  // of the whole head, if only a part of it is packed
}

// packHead copies some texts and a header.
func packHead(h http.Header, texts ...string) head {
	size := headSize(h, texts)
	if size <= HeadLimit {
		return head{packed: pack(size, h, texts)}
	}
	for i, text := range texts {
		texts[i] = logging.Cut(text, targetLimit)
	}
	h = cutHeader(h, HeadLimit-headSize(nil, texts))
	return head{packed: pack(headSize(h, texts), h, texts), size: int64(size)}
}

func headSize(h http.Header, texts []string) int {
	size := 0
	for _, text := range texts {
		size += len(text) + entryCost
	}
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(value) + 2*entryCost
		}
	}
	return size
}

// cutHeader is as much of h as fits into so many bytes: long values are cut,
// then what comes last by name is left out.
func cutHeader(h http.Header, limit int) http.Header {
	kept := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			value = logging.Cut(value, valueLimit)
			shown := logging.Cut(name, valueLimit)
			if limit -= len(shown) + len(value) + 2*entryCost; limit < 0 {
				return kept
			}
			kept[shown] = append(kept[shown], value)
		}
	}
	return kept
}

func pack(size int, h http.Header, texts []string) []byte {
	packed := make([]byte, 0, size)
	for _, text := range texts {
		packed = appendText(packed, text)
	}
	for name, values := range h {
		for _, value := range values {
			packed = appendText(appendText(packed, name), value)
		}
	}
	return packed
}

// appendText appends a text that is shorter than 2 MiB with its length.
func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// unpack gives back the first n texts, and the header.
func (h head) unpack(n int) (texts []string, header http.Header) {
	texts = make([]string, n)
	if h.packed == nil {
		return texts, nil
	}
	rest := h.packed
	next := func() string {
		length, from := binary.Uvarint(rest)
		to := from + int(length)
		text := string(rest[from:to])
		rest = rest[to:]
		return text
	}
	for i := range texts {
		texts[i] = next()
	}
	header = http.Header{}
	for len(rest) > 0 {
		name := next()
		header[name] = append(header[name], next())
	}
	return texts, header
}

// cutMark is the end of a text that was cut.
const cutMark = "…"
