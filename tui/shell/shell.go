// Package shell gives the terminal to a shell in a sandbox until the shell ends.
package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/muesli/cancelreader"
	"golang.org/x/term"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
)

// Backend is what a shell needs from a core.
type Backend interface {
	Shell(ctx context.Context, ref api.Ref, columns, rows int) (api.Terminal, error)
}

// Shell is a tea.ExecCommand: while it runs the terminal is the shell's.
type Shell struct {
	ctx     context.Context // the UI's
	backend Backend
	ref     api.Ref
	in      io.Reader
	out     io.Writer

	// ExitCode is the shell's, once Run has returned without an error.
	ExitCode int
}

// New returns a shell in a sandbox; ctx is the UI's.
func New(ctx context.Context, backend Backend, ref api.Ref) *Shell {
	return &Shell{ctx: ctx, backend: backend, ref: ref}
}

// SetStdin implements tea.ExecCommand.
func (s *Shell) SetStdin(r io.Reader) { s.in = r }

// SetStdout implements tea.ExecCommand.
func (s *Shell) SetStdout(w io.Writer) { s.out = w }

// SetStderr implements tea.ExecCommand.
func (s *Shell) SetStderr(io.Writer) {}

// Run opens the shell and copies bytes until it ends.
func (s *Shell) Run() error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	columns, rows := 80, 24
	tty, isTTY := s.in.(*os.File)
	if isTTY {
		if w, h, err := term.GetSize(int(tty.Fd())); err == nil {
			columns, rows = w, h
		}
		before, err := term.MakeRaw(int(tty.Fd()))
		if err != nil {
			return fmt.Errorf("raw mode: %w", err)
		}
		defer func() { _ = term.Restore(int(tty.Fd()), before) }()
	}
	far, err := s.open(ctx, isTTY, columns, rows)
	if far == nil || err != nil {
		return err
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { far.Close() })
	defer stop()
	if isTTY {
		defer followSize(ctx, tty, far)()
	}
	fmt.Fprintf(s.out, "shell in %s, exit returns\r\n", text.Clean(s.ref.String()))
	if err := s.carry(far); err != nil || ctx.Err() != nil {
		return err
	}
	ctx, giveUp := context.WithTimeout(ctx, pane.Quick)
	defer giveUp()
	s.ExitCode, err = far.Wait(ctx)
	return err
}

// open opens the shell. Input before it is open is dropped; esc and ctrl+c cancel
// the opening.
func (s *Shell) open(ctx context.Context, isTTY bool, columns, rows int) (api.Terminal, error) {
	ctx, giveUp := context.WithTimeout(ctx, pane.Quick)
	defer giveUp()
	fmt.Fprintf(s.out, "\r\nopening a shell in %s, esc cancels\r\n", text.Clean(s.ref.String()))
	if !isTTY {
		return s.backend.Shell(ctx, s.ref, columns, rows)
	}
	stop, err := s.readKeys(func(keys io.Reader) { drop(keys, giveUp) })
	if err != nil {
		return nil, err
	}
	far, err := s.backend.Shell(ctx, s.ref, columns, rows)
	stop()
	if errors.Is(ctx.Err(), context.Canceled) {
		if err == nil {
			far.Close()
		}
		return nil, nil
	}
	return far, err
}

// readKeys runs read with the keys until stop is called, which waits for it.
func (s *Shell) readKeys(read func(keys io.Reader)) (stop func(), err error) {
	keys, err := cancelreader.NewReader(s.in)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		read(keys)
	}()
	return func() {
		if keys.Cancel() {
			<-ended
		}
		keys.Close()
	}, nil
}

// drop reads and drops keys until there are no more; esc and ctrl+c call giveUp.
func drop(keys io.Reader, giveUp func()) {
	typed := make([]byte, 256)
	for {
		n, err := keys.Read(typed)
		if err != nil {
			return
		}
		if key := typed[:n]; bytes.HasSuffix(key, []byte("\x1b")) || bytes.ContainsRune(key, '\x03') {
			giveUp()
		}
	}
}

// carry copies in both directions; it stops reading keys when the shell ends.
func (s *Shell) carry(far api.Terminal) error {
	stop, err := s.readKeys(func(keys io.Reader) { _, _ = io.Copy(far, keys) }) // ends with the shell or the UI
	if err != nil {
		return err
	}
	_, err = io.Copy(s.out, far)
	stop()
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) || s.ctx.Err() != nil {
		err = nil // the end of the shell, or of the UI
	}
	return err
}
