package traffic

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

func itoa(n int) string { return strconv.Itoa(n) }

// notInCurl are headers that curl sets itself, or that are of one connection.
var notInCurl = []string{
	"Host", "Content-Length", "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Te", "Trailer",
	"Upgrade", "Expect",
	"Accept-Encoding", "X-Api-Key", "X-Daemon-Proxy-Secret", "Cdn-Loop", "X-Forwarded-For", "X-Forwarded-Host",
	"X-Forwarded-Proto", "Forwarded", "X-Real-Ip",
}

// Curl is the request as a command for a POSIX shell, sent to base, which ends
// where the service's path begins. Secrets are not in it: $COOKIE and $AUTH
// stand for the headers Cookie and Authorization, $SECRET for those of other
// headers, of the query and of a body that is JSON or a form: never a name that
// the request could choose, which the shell may have a value for. Extra are
// headers to add, as words for a shell ("-H …").
func (o Original) Curl(base string, extra ...string) string {
	var c strings.Builder
	body := ""
	switch {
	case len(o.Body) == 0:
	case !o.Whole:
	case utf8.Valid(o.Body) && !bytes.ContainsFunc(o.Body, steers):
		masked := logging.MaskBody(o.Header.Get("Content-Type"), o.Body, "\x00") // which is nowhere in it
		body = "--data-raw " + strings.ReplaceAll(quote(string(masked)), "\x00", `'"$SECRET"'`)
	default:
		content := o.Body
		if utf8.Valid(content) {
			content = logging.MaskBody(o.Header.Get("Content-Type"), content, "***")
		}
		c.WriteString("printf %s " + quote(base64.StdEncoding.EncodeToString(content)) + " | base64 -d | ")
		body = "--data-binary @-"
	}
	c.WriteString("curl -g --path-as-is")
	if o.Method == http.MethodHead {
		c.WriteString(" --head")
	} else if o.Method != http.MethodGet || body != "" {
		c.WriteString(" -X " + quote(o.Method))
	}
	c.WriteString(" " + quoteTarget(base, o.Target))
	names := make([]string, 0, len(o.Header))
	for name := range o.Header {
		if !slices.Contains(notInCurl, http.CanonicalHeaderKey(name)) && !strings.HasPrefix(name, "Sec-Websocket-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range o.Header[name] {
			c.WriteString(" \\\n  -H " + headerWord(name, value))
		}
	}
	for _, word := range extra {
		c.WriteString(" \\\n  " + word)
	}
	if body != "" {
		if o.Header.Get("Content-Type") == "" {
			c.WriteString(" \\\n  -H 'Content-Type:'")
		}
		c.WriteString(" \\\n  " + body)
	}
	if !o.HeadWhole {
		c.WriteString("\n# the request had more in its head: " + notKept(o.Exchange, o.Header != nil))
	}
	if !o.Whole {
		size := "of unknown length"
		if o.Length > 0 {
			size = fmt.Sprintf("of %d bytes", o.Length)
		}
		c.WriteString("\n# the body, " + size + ", was not captured whole: add it with --data-binary @FILE")
	}
	return c.String()
}

// steers reports whether a character could act on the terminal that a command
// is pasted into, such as by ending it and beginning another one.
func steers(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\r' && r != '\n' }

// notKept says why a head is not kept whole.
func notKept(x api.Exchange, part bool) string {
	switch {
	case !part:
		return "its headers were discarded, because later requests needed the memory"
	case x.PathSize > 0:
		return fmt.Sprintf("the path of %d bytes was cut", x.PathSize)
	}
	return fmt.Sprintf("only %d KiB of it were kept", HeadLimit>>10)
}

// headerWord is a header as one word of the command.
func headerWord(name, value string) string {
	switch http.CanonicalHeaderKey(name) {
	case "Cookie":
		return `"` + name + `: $COOKIE"`
	case "Authorization", "Proxy-Authorization":
		return `"` + name + `: $AUTH"`
	}
	if secretHeader(name) {
		return quote(name+": ") + `"$SECRET"`
	}
	if value == "" {
		return quote(name + ";") // curl's way to say: with no value
	}
	return quote(name + ": " + logging.MaskTarget(value))
}

// quote makes one word of a shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// quoteTarget is quote for a request target after base, with $SECRET in place
// of secret values in the query.
func quoteTarget(base, target string) string {
	path, query, found := strings.Cut(target, "?")
	if !found {
		return quote(base + path)
	}
	masked := logging.MaskTokens(logging.MaskQuery(query))
	return strings.ReplaceAll(quote(base+path+"?"+masked), "=***", `='"$SECRET"'`)
}
