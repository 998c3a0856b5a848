package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/cancelreader"
	"golang.org/x/term"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/text"
)

// shellEndedMsg is the end of a shell.
type shellEndedMsg struct{ err error }

// shell suspends the UI for a shell in the chosen container.
func (m *model) shell() tea.Cmd {
	ref := m.list.chosen
	return tea.Exec(&shellRun{ctx: m.do.ctx, backend: m.do.backend, ref: ref}, func(err error) tea.Msg { return shellEndedMsg{err} })
}

// shellRun is a tea.ExecCommand: while it runs the terminal is the shell's.
type shellRun struct {
	ctx     context.Context // the UI's
	backend Backend
	ref     api.Ref
	in      io.Reader
	out     io.Writer
}

func (s *shellRun) SetStdin(r io.Reader)  { s.in = r }
func (s *shellRun) SetStdout(w io.Writer) { s.out = w }
func (s *shellRun) SetStderr(io.Writer)   {}

// Run opens the shell and carries bytes until it ends.
func (s *shellRun) Run() error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	columns, rows := 80, 24
	tty, isTTY := s.in.(*os.File)
	if isTTY {
		if w, h, err := term.GetSize(int(tty.Fd())); err == nil {
			columns, rows = w, h
		}
	}
	fmt.Fprintf(s.out, "\r\nshell in %s, exit comes back\r\n", text.Clean(s.ref.String()))
	opening, opened := context.WithTimeout(ctx, quickly)
	far, err := s.backend.Shell(opening, s.ref, columns, rows)
	opened()
	if err != nil {
		return err
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { far.Close() })
	defer stop()
	if isTTY {
		before, err := term.MakeRaw(int(tty.Fd()))
		if err != nil {
			return fmt.Errorf("raw mode: %w", err)
		}
		defer func() { _ = term.Restore(int(tty.Fd()), before) }()
		defer followSize(ctx, tty, far)()
	}
	return s.carry(far)
}

// carry copies both ways; the end of the shell ends the reading of keys too.
func (s *shellRun) carry(far Terminal) error {
	keys, err := cancelreader.NewReader(s.in)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	defer keys.Close()
	typed := make(chan struct{})
	go func() {
		defer close(typed)
		_, _ = io.Copy(far, keys) // its end is the shell's end or ours
	}()
	_, err = io.Copy(s.out, far)
	if keys.Cancel() {
		<-typed
	}
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) || s.ctx.Err() != nil {
		return nil
	}
	return err
}
