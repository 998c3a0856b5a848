package logging

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// latest is how long a record may wait before it is written.
	latest = 100 * time.Millisecond
	// enough bytes are written at once, without waiting for more.
	enough = 64 << 10
	// maxWaiting bounds the bytes that wait because the disk is slow; who logs more
	// waits for it too, so that nothing is lost.
	maxWaiting = 512 << 10
)

// Output writes what a logger logs, many records at once: a record costs whoever
// logs it no system call.
type Output struct {
	to io.WriteCloser

	passing sync.Mutex // held while something is passed on, which keeps the order

	mu      sync.Mutex
	waiting []byte
	spare   []byte      // for reuse
	timer   *time.Timer // for Flush
}

func newOutput(to io.WriteCloser) *Output {
	b := &Output{to: to}
	b.timer = time.AfterFunc(latest, b.Flush)
	return b
}

// Write implements io.Writer. It has no error: nobody could do anything about it.
func (b *Output) Write(record []byte) (int, error) {
	b.mu.Lock()
	before := len(b.waiting)
	b.waiting = append(b.waiting, record...)
	now := len(b.waiting)
	switch {
	case before == 0 && now < enough:
		b.timer.Reset(latest)
	case before < enough && now >= enough:
		b.timer.Reset(0)
	}
	b.mu.Unlock()
	if now > maxWaiting {
		b.Flush()
	}
	return len(record), nil
}

// Flush returns when all that was logged before is written.
func (b *Output) Flush() {
	b.passing.Lock()
	defer b.passing.Unlock()
	b.mu.Lock()
	records := b.waiting
	b.waiting, b.spare = b.spare[:0], nil
	b.mu.Unlock()
	if len(records) > 0 {
		_, _ = b.to.Write(records)
	}
	if cap(records) <= 2*enough {
		b.mu.Lock()
		b.spare = records
		b.mu.Unlock()
	}
}

// Close writes what is left, and closes the file.
func (b *Output) Close() error {
	b.timer.Stop()
	b.Flush()
	return b.to.Close()
}

// urgent is a handler whose errors are written at once: they may be the last that
// the program has to say.
type urgent struct {
	slog.Handler
	out *Output
}

// Handle implements slog.Handler.
func (u urgent) Handle(ctx context.Context, r slog.Record) error {
	err := u.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelError {
		u.out.Flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (u urgent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return urgent{u.Handler.WithAttrs(attrs), u.out}
}

// WithGroup implements slog.Handler.
func (u urgent) WithGroup(name string) slog.Handler { return urgent{u.Handler.WithGroup(name), u.out} }
