package logging

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// maxTail bounds what is read of one file to find its last lines.
	maxTail = 1 << 20
	// tailEvery is how often a followed file is checked.
	tailEvery = 250 * time.Millisecond
)

// Tail is the last n lines of a log that New writes (all within 1 MiB a file if
// n is negative), those of rotated files before it included, and with follow
// what is written until ctx ends or the reader is closed, over rotations. The
// error is fs.ErrNotExist if there is no such log.
func Tail(ctx context.Context, file string, n int, follow bool) (io.ReadCloser, error) {
	f, err := os.Open(file) //nolint:gosec // the configured log file
	if err != nil {
		return nil, err
	}
	text, err := readEnd(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	for _, older := range backups(file) {
		if n < 0 || bytes.Count(text, []byte("\n")) >= n {
			break
		}
		if more, err := readFileEnd(older); err == nil { // one that is removed meanwhile is not missed
			text = append(more, text...)
		}
	}
	text = LastLines(text, n)
	if !follow {
		return io.NopCloser(bytes.NewReader(text)), f.Close()
	}
	ctx, cancel := context.WithCancel(ctx)
	reader, writer := io.Pipe()
	context.AfterFunc(ctx, func() { writer.CloseWithError(ctx.Err()) })
	go func() {
		defer cancel()
		writer.CloseWithError((&follower{file: file, f: f}).run(ctx, writer, text))
	}()
	return tailing{reader, cancel}, nil
}

// tailing is a followed log.
type tailing struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close ends the following.
func (t tailing) Close() error {
	t.cancel()
	return t.PipeReader.Close()
}

// backups are the rotated files of a log, the newest first. lumberjack names
// them NAME-TIME.EXT.
func backups(file string) []string {
	ext := filepath.Ext(file)
	// the pattern is well-formed
	found, _ := filepath.Glob(globEscape(strings.TrimSuffix(file, ext)) + "-[0-9]*" + globEscape(ext))
	slices.Sort(found)
	slices.Reverse(found)
	return found
}

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

func readFileEnd(file string) ([]byte, error) {
	f, err := os.Open(file) //nolint:gosec // a rotated log
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readEnd(f)
}

// readEnd reads the last maxTail bytes, from the beginning of a line on unless
// the last line alone is longer, and leaves f at its end.
func readEnd(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-maxTail)
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	if _, whole, found := bytes.Cut(text, []byte("\n")); from > 0 && len(whole) > 0 && found {
		text = whole
	}
	return text, err
}

// LastLines are the last n lines of a text, all of them if n is negative.
func LastLines(text []byte, n int) []byte {
	if n < 0 {
		return text
	}
	if n == 0 {
		return nil
	}
	for i := len(bytes.TrimSuffix(text, []byte("\n"))) - 1; i >= 0; i-- {
		if text[i] != '\n' {
			continue
		}
		if n--; n == 0 {
			return text[i+1:]
		}
	}
	return text
}

// follower reads on in a file that grows and is rotated.
type follower struct {
	file string
	f    *os.File
}

func (t *follower) run(ctx context.Context, w io.Writer, first []byte) error {
	defer func() { t.f.Close() }()
	if _, err := w.Write(first); err != nil {
		return err
	}
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := t.step(w); err != nil {
			return err
		}
	}
}

// step writes what is new, and goes over to the next file once this one was rotated.
func (t *follower) step(w io.Writer) error {
	now, err := os.Stat(t.file)
	gone := errors.Is(err, fs.ErrNotExist) // between two files
	if err != nil && !gone {
		return err
	}
	here, err := t.f.Stat()
	if err != nil {
		return err
	}
	if at, err := t.f.Seek(0, io.SeekCurrent); err != nil {
		return err
	} else if here.Size() < at { // it was cut
		if _, err := t.f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	if _, err := io.Copy(w, t.f); err != nil {
		return err
	}
	if gone || os.SameFile(now, here) {
		return nil
	}
	next, err := os.Open(t.file)
	if err != nil {
		return nil //nolint:nilerr // the next step finds it
	}
	t.f.Close()
	t.f = next
	_, err = io.Copy(w, t.f)
	return err
}
