package proxy

import (
	"bufio"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// readAnswerHead reads the head of an answer to a request of that method. It
// is http.ReadResponse with two differences: a Connection line that says
// "close" stays in the header, because the other headers that it names must be
// dropped, and no Cache-Control is made up from a Pragma. Body is http.NoBody
// where the head says that there is none, and nil otherwise.
func readAnswerHead(br *bufio.Reader, method string) (*http.Response, error) {
	tp := textproto.NewReader(br)
	line, err := tp.ReadLine()
	if err != nil {
		return nil, cutShort(err)
	}
	resp := &http.Response{}
	if err := parseStatusLine(resp, line); err != nil {
		return nil, err
	}
	header, err := tp.ReadMIMEHeader()
	if err != nil {
		return nil, cutShort(err)
	}
	resp.Header = http.Header(header)
	if err := frameAnswer(resp, method); err != nil {
		return nil, err
	}
	return resp, nil
}

// chunkedOnly is the TransferEncoding of every answer that has one; nobody writes to it.
var chunkedOnly = []string{"chunked"}

func parseStatusLine(resp *http.Response, line string) error {
	proto, status, ok := strings.Cut(line, " ")
	if !ok {
		return fmt.Errorf("malformed status line %q", line)
	}
	resp.Proto, resp.Status = proto, strings.TrimLeft(status, " ")
	code, _, _ := strings.Cut(resp.Status, " ")
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil || len(code) != 3 {
		return fmt.Errorf("malformed status code %q", code)
	}
	resp.StatusCode = int(n)
	if resp.ProtoMajor, resp.ProtoMinor, ok = http.ParseHTTPVersion(proto); !ok {
		return fmt.Errorf("malformed HTTP version %q", proto)
	}
	return nil
}

// frameAnswer finds where the body ends (RFC 9112 §6.3). Framing that could be
// read in two ways is an error, or ends the connection with the answer.
func frameAnswer(resp *http.Response, method string) error {
	chunked, err := isChunked(resp)
	if err != nil {
		return err
	}
	length, err := contentLength(resp.Header)
	if err != nil {
		return err
	}
	disputed := chunked && length >= 0
	if chunked {
		delete(resp.Header, "Content-Length")
		if err := announcedTrailers(resp); err != nil {
			return err
		}
		length = -1
	}
	connection := resp.Header["Connection"]
	resp.Close = disputed || httpguts.HeaderValuesContainsToken(connection, "close") ||
		resp.ProtoMinor == 0 && !httpguts.HeaderValuesContainsToken(connection, "keep-alive")
	resp.ContentLength = length
	switch status := resp.StatusCode; {
	case method == http.MethodHead, status < 200, status == http.StatusNoContent, status == http.StatusNotModified:
		resp.Body = http.NoBody
	case chunked:
		resp.TransferEncoding = chunkedOnly
	case length == 0:
		resp.Body = http.NoBody
	case length < 0:
		resp.Close = true // the end of the connection is that of the body
	}
	return nil
}

// isChunked reports whether the body is in chunks, the only coding that there is.
// To HTTP/1.0 the header means nothing.
func isChunked(resp *http.Response) (bool, error) {
	codings, present := resp.Header["Transfer-Encoding"]
	if !present || resp.ProtoMinor == 0 {
		return false, nil
	}
	if len(codings) != 1 || !strings.EqualFold(codings[0], "chunked") {
		return false, fmt.Errorf("unsupported transfer encoding %q", codings)
	}
	return true, nil
}

// contentLength is the length in a header; negative: none. Equal
// repetitions are one.
func contentLength(h http.Header) (int64, error) {
	lines := h["Content-Length"]
	if len(lines) == 0 {
		return -1, nil
	}
	first := textproto.TrimString(lines[0])
	for _, other := range lines[1:] {
		if textproto.TrimString(other) != first {
			return 0, fmt.Errorf("conflicting lengths %q", lines)
		}
	}
	n, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("malformed length %q", first)
	}
	if len(lines) > 1 {
		h["Content-Length"] = []string{first}
	}
	return int64(n), nil
}

// announcedTrailers moves the names in the Trailer lines of a chunked answer
// to its Trailer.
func announcedTrailers(resp *http.Response) error {
	for _, line := range resp.Header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name == "" {
				continue
			}
			name = http.CanonicalHeaderKey(name)
			if hopByHop(name) || name == "Content-Length" {
				return fmt.Errorf("%s is not allowed as a trailer", name)
			}
			if resp.Trailer == nil {
				resp.Trailer = http.Header{}
			}
			resp.Trailer[name] = nil
		}
	}
	return nil
}
