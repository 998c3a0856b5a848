package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// python writes records in a format of Python's logging module
// (docs.python.org/3/library/logging.html#logrecord-attributes).
type python struct {
	out    io.Writer
	mu     *sync.Mutex
	level  slog.Level
	pieces []piece
	attrs  string // those of With, ready to be appended
	group  string // prefix of further keys
}

// piece is literal text, or an attribute of the record with the verb to print it.
type piece struct {
	text  string
	field func(record) any
	verb  string
}

// record is a slog.Record with what some attributes need.
type record struct {
	slog.Record
	message string
	frame   runtime.Frame
}

var started = time.Now()

// loggerName is what %(name)s prints.
const loggerName = "daemon-proxy"

// fields are the attributes of Python's LogRecord.
var fields = map[string]func(record) any{
	"message":   func(r record) any { return r.message },
	"msg":       func(r record) any { return r.message },
	"name":      func(record) any { return loggerName },
	"levelname": func(r record) any { return levelName(r.Level) },
	"levelno":   func(r record) any { return 20 + int(r.Level)*10/4 }, // INFO is 20, a step is 10
	"asctime": func(r record) any {
		return r.Time.Format("2006-01-02 15:04:05,000")
	},
	"created":         func(r record) any { return float64(r.Time.UnixNano()) / 1e9 },
	"msecs":           func(r record) any { return float64(r.Time.Nanosecond()) / 1e6 },
	"relativeCreated": func(r record) any { return float64(r.Time.Sub(started)) / 1e6 },
	"filename":        func(r record) any { return filepath.Base(r.frame.File) },
	"pathname":        func(r record) any { return r.frame.File },
	"module":          func(r record) any { return strings.TrimSuffix(filepath.Base(r.frame.File), ".go") },
	"funcName":        func(r record) any { return r.frame.Function[strings.LastIndexByte(r.frame.Function, '.')+1:] },
	"lineno":          func(r record) any { return r.frame.Line },
	"process":         func(record) any { return os.Getpid() },
	"processName":     func(record) any { return "MainProcess" },
	"thread":          func(record) any { return 0 },
	"threadName":      func(record) any { return "MainThread" },
	"taskName":        func(record) any { return "None" },
}

// directives matches what begins with % in a format. It is not compiled before a
// format is parsed, so that programs that parse none do not contain package regexp.
const directives = `%(?:%|\((\w+)\)([-+ #0]*)(\d*)((?:\.\d+)?)([sdifeEgGr]))`

// newPython parses a format; the error names what is wrong in it.
func newPython(format string, out io.Writer, level slog.Level) (slog.Handler, error) {
	p := &python{out: out, mu: &sync.Mutex{}, level: level}
	directive := regexp.MustCompile(directives)
	rest := format
	literal := func(text string) error {
		if i := strings.IndexByte(text, '%'); i >= 0 {
			return fmt.Errorf("log format: %q is not a Python directive such as %%(message)s", text[i:])
		}
		if text != "" {
			p.pieces = append(p.pieces, piece{text: Printable(text)})
		}
		return nil
	}
	for {
		m := directive.FindStringSubmatchIndex(rest)
		if m == nil {
			return p, literal(rest)
		}
		if err := literal(rest[:m[0]]); err != nil {
			return nil, err
		}
		if m[2] < 0 {
			p.pieces = append(p.pieces, piece{text: "%"})
		} else {
			name, conversion := rest[m[2]:m[3]], rest[m[10]:m[11]]
			field, ok := fields[name]
			if !ok {
				return nil, fmt.Errorf("log format: %q is not an attribute of a Python log record", name)
			}
			p.pieces = append(p.pieces, piece{field: field, verb: "%" + rest[m[4]:m[9]] + goVerb(conversion)})
		}
		rest = rest[m[1]:]
	}
}

func goVerb(conversion string) string {
	switch conversion {
	case "s":
		return "v"
	case "i":
		return "d"
	case "r":
		return "q"
	}
	return conversion
}

// Handle writes one line.
func (p *python) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(p.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, p.group, a)
		return true
	})
	rec := record{Record: r, message: shown(b.String())}
	if r.PC != 0 {
		rec.frame, _ = runtime.CallersFrames([]uintptr{r.PC}).Next()
	}
	var line []byte
	for _, piece := range p.pieces {
		if piece.field == nil {
			line = append(line, piece.text...)
			continue
		}
		value := piece.field(rec)
		switch v := value.(type) {
		case float64:
			if strings.HasSuffix(piece.verb, "d") { // as Python does: %(msecs)03d
				value = int64(v)
			}
		case int:
			if strings.ContainsAny(piece.verb[len(piece.verb)-1:], "feEgG") {
				value = float64(v)
			}
		}
		line = fmt.Appendf(line, piece.verb, value)
	}
	line = append(line, '\n')
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.out.Write(line)
	return err
}

// WithAttrs adds attributes to every record.
func (p *python) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(p.attrs)
	for _, a := range attrs {
		appendAttr(&b, p.group, a)
	}
	next := *p
	next.attrs = b.String()
	return &next
}

// WithGroup puts a name before the keys that follow.
func (p *python) WithGroup(name string) slog.Handler {
	next := *p
	next.group += name + "."
	return &next
}

// appendAttr appends " key=value", with quotes where the value needs them.
func appendAttr(b *strings.Builder, group string, a slog.Attr) {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range value.Group() {
			appendAttr(b, group, inner)
		}
		return
	}
	if a.Equal(slog.Attr{}) {
		return
	}
	text := MaskTokens(Cut(value.String(), longestText))
	if text == "" || strings.ContainsAny(text, " =\"") || Printable(text) != text {
		text = strconv.Quote(text)
	}
	b.WriteString(" " + group + a.Key + "=" + text)
}
