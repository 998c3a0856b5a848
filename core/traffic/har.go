package traffic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"daemon-proxy/core/api"
)

// The parts of an HTTP archive, see http://www.softwareishard.com/blog/har-12-spec/.
type (
	harPair struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	harRequest struct {
		Method      string    `json:"method"`
		URL         string    `json:"url"`
		HTTPVersion string    `json:"httpVersion"`
		Cookies     []harPair `json:"cookies"`
		Headers     []harPair `json:"headers"`
		QueryString []harPair `json:"queryString"`
		PostData    *harBody  `json:"postData,omitempty"`
		HeadersSize int       `json:"headersSize"`
		BodySize    int64     `json:"bodySize"`
	}
	harResponse struct {
		Status      int       `json:"status"`
		StatusText  string    `json:"statusText"`
		HTTPVersion string    `json:"httpVersion"`
		Cookies     []harPair `json:"cookies"`
		Headers     []harPair `json:"headers"`
		Content     harBody   `json:"content"`
		RedirectURL string    `json:"redirectURL"`
		HeadersSize int       `json:"headersSize"`
		BodySize    int64     `json:"bodySize"`
	}
	harBody struct {
		Size     int64  `json:"size,omitempty"`
		MimeType string `json:"mimeType"`
		Text     string `json:"text"`
		Encoding string `json:"encoding,omitempty"`
		Comment  string `json:"comment,omitempty"`
	}
	harCreator struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	harTimings struct {
		Send    float64 `json:"send"`
		Wait    float64 `json:"wait"`
		Receive float64 `json:"receive"`
	}
	harFrame struct { // as Chromium's "_webSocketMessages"
		Type   string  `json:"type"`
		Time   float64 `json:"time"`
		Opcode int     `json:"opcode"`
		Data   string  `json:"data"`
	}
	harEntry struct {
		Started  string      `json:"startedDateTime"`
		Time     float64     `json:"time"`
		Request  harRequest  `json:"request"`
		Response harResponse `json:"response"`
		Cache    struct{}    `json:"cache"`
		Timings  harTimings  `json:"timings"`
		Comment  string      `json:"comment,omitempty"`
		Frames   []harFrame  `json:"_webSocketMessages,omitempty"`
	}
)

// archiveLimit is about how many bytes of an archive are bodies and frames. The
// log keeps bodies as they came, and an archive has them unpacked and escaped:
// many times what the log's memory is.
const archiveLimit = 32 << 20

// HAR is an HTTP archive (version 1.2) of the exchanges that match the filter,
// oldest first, their secrets masked. URLs are those that the services saw. The
// bodies and frames of the oldest are omitted where all are too much.
func (l *Log) HAR(filter Filter, version string) ([]byte, error) {
	creator, err := json.Marshal(harCreator{"daemon-proxy", version})
	if err != nil {
		return nil, err
	}
	var entries [][]byte // newest first
	room := archiveLimit
	for _, x := range l.Last(0) {
		if !filter.Match(x) {
			continue
		}
		d, ok := l.Get(x.ID)
		if !ok {
			continue
		}
		entry, err := archived(d, &room)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	slices.Reverse(entries)
	return slices.Concat(
		[]byte(`{"log": {"version": "1.2", "creator": `), creator, []byte(", \"entries\": [\n"),
		bytes.Join(entries, []byte(",\n")), []byte("\n]}}\n"),
	), nil
}

// archived is the entry of an exchange, without its bodies and frames if room
// does not hold them.
func archived(d api.ExchangeDetail, room *int) ([]byte, error) {
	entry := entryOf(d)
	content := len(entry.Response.Content.Text)
	if entry.Request.PostData != nil {
		content += len(entry.Request.PostData.Text)
	}
	for _, f := range entry.Frames {
		content += len(f.Data)
	}
	if content > 0 && content <= *room {
		raw, err := json.MarshalIndent(entry, "", " ")
		if *room -= len(raw); err != nil || *room >= 0 {
			return raw, err
		}
	}
	if content > 0 {
		*room = 0 // what is older has none either
		entry.omitContent()
	}
	return json.MarshalIndent(entry, "", " ")
}

// omitContent removes bodies and frames.
func (e *harEntry) omitContent() {
	const why = "omitted: the archive would be too large"
	bodies := []*harBody{&e.Response.Content}
	if e.Request.PostData != nil {
		bodies = append(bodies, e.Request.PostData)
	}
	for _, b := range bodies {
		if b.Text != "" {
			b.Text, b.Encoding, b.Comment = "", "", why
		}
	}
	if e.Frames != nil {
		e.Frames = nil
		e.Comment = strings.TrimPrefix(e.Comment+"; frames "+why, "; ")
	}
}

func entryOf(d api.ExchangeDetail) harEntry {
	where := serviceURL(d.Exchange)
	e := harEntry{
		Started: d.Start.Format(time.RFC3339Nano), Time: milliseconds(d.Duration), Comment: remarks(d),
		Request: harRequest{
			Method: d.Method, URL: where, HTTPVersion: "HTTP/1.1", Cookies: []harPair{},
			Headers:     pairs(d.RequestHeader),
			QueryString: query(where), HeadersSize: -1, BodySize: d.BytesIn,
		},
		Response: harResponse{
			Status: d.Status, StatusText: http.StatusText(d.Status), HTTPVersion: "HTTP/1.1", Cookies: []harPair{},
			Headers:     pairs(d.ResponseHeader),
			Content:     bodyOf(d.ResponseHeader, d.ResponseBody, d.ResponseCaptured, d.BytesOut),
			RedirectURL: d.ResponseHeader.Get("Location"), HeadersSize: -1, BodySize: d.BytesOut,
		},
		Timings: harTimings{
			Send: milliseconds(d.Wait), Wait: max(0, milliseconds(d.FirstByte-d.Wait)),
			Receive: max(0, milliseconds(d.Duration-d.FirstByte)),
		},
	}
	if d.BytesIn > 0 && d.Protocol != "websocket" {
		body := bodyOf(d.RequestHeader, d.RequestBody, d.RequestCaptured, d.BytesIn)
		body.Size = 0 // postData has none
		e.Request.PostData = &body
	}
	for _, f := range d.Frames {
		kind := map[bool]string{true: "send", false: "receive"}[f.FromClient]
		text, _ := asText(f.Data)
		e.Frames = append(e.Frames,
			harFrame{Type: kind, Time: float64(f.Time.UnixMicro()) / 1e6, Opcode: f.Opcode, Data: text})
	}
	return e
}

// remarks are the notes on an exchange, and what is missing of it.
func remarks(d api.ExchangeDetail) string {
	var all []string
	if d.Note != "" {
		all = append(all, d.Note)
	}
	if d.Discarded {
		all = append(all, "headers and bodies were discarded, because later requests needed the memory")
	}
	for _, part := range []struct {
		name string
		size int64
	}{{"path", d.PathSize}, {"request's header", d.RequestHeaderSize}, {"response's header", d.ResponseHeaderSize}} {
		if part.size > 0 {
			all = append(all, fmt.Sprintf("the %s of %d bytes was cut", part.name, part.size))
		}
	}
	return strings.Join(all, "; ")
}

// serviceURL is where the service saw the request. Its name is that of the
// sandbox, so that those of several can be distinguished.
func serviceURL(x api.Exchange) string {
	u := url.URL{Scheme: "http", Host: strings.ReplaceAll(x.Sandbox, ":", ".")}
	if x.Port != 0 {
		u.Host += ":" + itoa(x.Port)
	}
	return u.String() + x.Path
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func pairs(h http.Header) []harPair {
	list := []harPair{}
	for name, values := range h {
		for _, value := range values {
			list = append(list, harPair{name, strings.ToValidUTF8(value, "?")})
		}
	}
	slices.SortStableFunc(list, func(a, b harPair) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// query splits the masked query, without judging it.
func query(where string) []harPair {
	list := []harPair{}
	_, raw, found := strings.Cut(where, "?")
	if !found {
		return list
	}
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if plain, err := url.QueryUnescape(value); err == nil {
			value = plain
		}
		list = append(list, harPair{strings.ToValidUTF8(name, "?"), strings.ToValidUTF8(value, "?")})
	}
	return list
}

func bodyOf(h http.Header, body []byte, captured, size int64) harBody {
	b := harBody{Size: size, MimeType: h.Get("Content-Type")}
	b.Text, b.Encoding = asText(body)
	switch {
	case captured == 0 && size > 0:
		b.Comment = "not captured, or discarded"
	case captured > 0 && len(body) == 0:
		b.Comment = "left out: it is packed in a way that secrets cannot be looked for in"
	case captured < size:
		b.Comment = "only the beginning was captured"
	}
	return b
}

// asText is bytes as JSON can hold them.
func asText(data []byte) (text, encoding string) {
	if utf8.Valid(data) {
		return string(data), ""
	}
	return base64.StdEncoding.EncodeToString(data), "base64"
}
