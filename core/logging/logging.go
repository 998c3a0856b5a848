// Package logging creates the program's one logger, and hides the secrets of
// request targets before they get into it.
//
// A record is one line, whatever is in it: control characters and those that
// reorder text on a screen are written as escapes.
package logging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// LevelCritical is Python's CRITICAL.
const LevelCritical = slog.LevelError + 4

// Options configure New.
type Options struct {
	// Level is DEBUG, INFO, WARNING, ERROR or CRITICAL.
	Level string
	// Format is "text", "json" or a Python %-format such as
	// "%(asctime)s - %(name)s - %(levelname)s - %(message)s".
	Format string
	// File gets the log; empty: none. It is created with mode 0600, its folder with 0700.
	File string
	// MaxSizeMB is the size in MiB at which the file is renamed, MaxBackups
	// how many of those are kept.
	MaxSizeMB, MaxBackups int
	// Stderr gets a copy; nil: none.
	Stderr io.Writer
}

// New returns the logger. A record is written within a tenth of a second, an error
// at once; closing writes what is left and ends the file. A file that cannot be written is
// no error but a warning in what is left of the log. The error says what is
// wrong with level or format.
func New(o Options) (*slog.Logger, *Output, error) {
	level, err := parseLevel(o.Level)
	if err != nil {
		return nil, nil, err
	}
	to := &tee{stderr: o.Stderr}
	var unusable error
	if o.File != "" {
		if unusable = usable(o.File); unusable == nil {
			to.file = newRotated(o.File, o.MaxSizeMB, o.MaxBackups)
		}
	}
	out := newOutput(to)
	handler, err := newHandler(o.Format, out, level)
	if err != nil {
		return nil, nil, errors.Join(err, out.Close())
	}
	logger := slog.New(urgent{handler, out})
	if unusable != nil {
		logger.Warn("cannot write the log file: logging continues without it", "file", o.File, "error", unusable)
	}
	return logger, out, nil
}

func parseLevel(name string) (slog.Level, error) {
	switch strings.ToUpper(name) {
	case "DEBUG":
		return slog.LevelDebug, nil
	case "", "INFO":
		return slog.LevelInfo, nil
	case "WARNING", "WARN":
		return slog.LevelWarn, nil
	case "ERROR":
		return slog.LevelError, nil
	case "CRITICAL", "FATAL":
		return LevelCritical, nil
	}
	return 0, fmt.Errorf("log level %q is invalid: use DEBUG, INFO, WARNING, ERROR or CRITICAL", name)
}

// levelName is Python's name of a level.
func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARNING"
	case l < LevelCritical:
		return "ERROR"
	}
	return "CRITICAL"
}

// tee writes to the file and to stderr; that one of them fails does not keep a
// record from the other.
type tee struct {
	file   io.WriteCloser
	stderr io.Writer
}

func (t *tee) Write(line []byte) (int, error) {
	if t.file != nil {
		_, _ = t.file.Write(line)
	}
	if t.stderr != nil {
		_, _ = t.stderr.Write(line)
	}
	return len(line), nil
}

// Close closes the file.
func (t *tee) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

func newHandler(format string, out io.Writer, level slog.Level) (slog.Handler, error) {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: replace}
	switch {
	case format == "" || strings.EqualFold(format, "text"):
		return slog.NewTextHandler(out, options), nil
	case strings.EqualFold(format, "json"):
		return slog.NewJSONHandler(out, options), nil
	case strings.Contains(format, "%("):
		return newPython(format, out, level)
	}
	return nil, fmt.Errorf("log format %q is invalid: use text, json or a Python format with %%(message)s", format)
}

// longestText bounds each text of a record, in bytes.
const longestText = 16 << 10

// shown is a text as the log shows it: bounded, without tokens of links, and
// without what could steer a terminal.
func shown(text string) string { return Printable(MaskTokens(Cut(text, longestText))) }

// replace gives levels their Python names and makes all text fit for the log.
func replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		if level, ok := a.Value.Any().(slog.Level); ok {
			return slog.String(a.Key, levelName(level))
		}
	}
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(shown(a.Value.String()))
	case slog.KindAny:
		a.Value = slog.StringValue(shown(fmt.Sprint(a.Value.Any())))
	}
	return a
}

var _ slog.Handler = (*python)(nil)

// Enabled reports whether records of that level are written.
func (p *python) Enabled(_ context.Context, level slog.Level) bool { return level >= p.level }
