package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

const (
	// logEvery is how often a daemon's log is polled while it is followed.
	logEvery = time.Second
	// maxTail bounds how much of a log is read to find its last lines.
	maxTail = 1 << 20
)

// DaemonLog returns the last lines of the log of the daemon in the container of
// ref and, with follow, what it writes until ctx ends or the reader is closed.
// The problem is no_log if there is no log.
func (s *Sandboxes) DaemonLog(ctx context.Context, ref api.Ref, tail int, follow bool) (io.ReadCloser, error) {
	s.mu.Lock()
	var kept *inject.Process
	outside := false
	if b := s.boxes[ref]; b != nil {
		if owner, err := b.owner(); err == nil {
			ref, kept, outside = owner.Ref, owner.process, owner.proof.served != nil
		}
	}
	s.mu.Unlock()
	if outside {
		return nil, ref.Problem(api.CodeNoLog, "the daemon of "+ref.String()+" is a part of this program, which reaches "+
			"the container through a helper", "see this program's own log")
	}
	c, err := s.inspect(ctx, ref)
	if err != nil {
		return nil, err
	}
	daemon := &daemonLog{source: s.source, id: c.ID, kept: kept}
	first, err := daemon.read(ctx)
	if errors.Is(err, fs.ErrNotExist) && kept != nil {
		daemon.inMemory = true
		first, err = daemon.read(ctx)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ref.Problem(api.CodeNoLog, "no daemon of this program has written a log in "+ref.String(),
			"inject one, or see "+s.source.Hint(source.HintLogs, ref.Name))
	}
	if err != nil {
		return nil, s.why.refused(ref, "read the daemon's log of", source.HintFiles, err)
	}
	first = logging.LastLines(first, tail)
	if !follow {
		return io.NopCloser(bytes.NewReader(first)), nil
	}
	ctx, cancel := context.WithCancel(ctx)
	reader, writer := io.Pipe()
	go func() {
		defer cancel()
		writer.CloseWithError(daemon.follow(ctx, writer, first))
	}()
	context.AfterFunc(ctx, func() { writer.CloseWithError(ctx.Err()) })
	return closing{reader, func() error { cancel(); return reader.Close() }}, nil
}

// closing is a reader with its own Close.
type closing struct {
	io.Reader
	close func() error
}

// Close ends the reading.
func (c closing) Close() error { return c.close() }

// daemonLog reads a daemon's log: a file in the container, or what this
// program kept of its output.
type daemonLog struct {
	source   source.Source
	id       string
	kept     *inject.Process
	inMemory bool
	size     int64  // of the file at the last read
	last     []byte // the output at the last read
}

// read returns what was written since the last read; the first read returns the
// end of the log.
func (l *daemonLog) read(ctx context.Context) ([]byte, error) {
	if l.inMemory {
		now := l.kept.Tail()
		before := l.last
		l.last = now
		return since(before, now), nil
	}
	stat, err := l.source.Stat(ctx, l.id, inject.LogName)
	if err != nil || stat.Size == l.size {
		return nil, err
	}
	content, stat, err := l.source.CopyOut(ctx, l.id, inject.LogName)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	from := l.size
	if stat.Size < from { // it was rotated
		from = 0
	}
	from = max(from, stat.Size-maxTail)
	if _, err := io.CopyN(io.Discard, content, from); err != nil {
		return nil, err
	}
	l.size = stat.Size
	return io.ReadAll(io.LimitReader(content, stat.Size-from))
}

// since returns what was added to a buffer that may have lost its beginning.
func since(before, now []byte) []byte {
	if bytes.HasPrefix(now, before) {
		return now[len(before):]
	}
	end := before[max(0, len(before)-1024):]
	if i := bytes.LastIndex(now, end); i >= 0 {
		return now[i+len(end):]
	}
	return now
}

func (l *daemonLog) follow(ctx context.Context, w io.Writer, first []byte) error {
	tick := time.NewTicker(logEvery)
	defer tick.Stop()
	for news := first; ; {
		if _, err := w.Write(news); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		var err error
		if news, err = l.read(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}
