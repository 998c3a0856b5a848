package tui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	tea "github.com/charmbracelet/bubbletea"
)

// pendingLines bounds what is read ahead of the screen; more is left out and counted.
const pendingLines = 2000

// logStream reads a log line by line beside the UI. What comes while the UI is
// busy waits here, so that a flood costs one message a tenth of a second.
type logStream struct {
	ctx   context.Context // of the log that is looked at
	mu    sync.Mutex
	lines []string
	lost  int
	err   error
	ready chan struct{} // holds one element while something waits
}

// logMsg brings news of a log: the stream once, then lines, then its end.
type logMsg struct {
	opened  int
	stream  *logStream
	lines   []string
	skipped int
	ended   error
}

// followLog reads r until it ends or ctx does; r is closed then.
func followLog(ctx context.Context, r io.ReadCloser) *logStream {
	s := &logStream{ctx: ctx, ready: make(chan struct{}, 1)}
	stop := context.AfterFunc(ctx, func() { r.Close() })
	go func() {
		defer r.Close()
		defer stop()
		s.read(r)
	}()
	return s
}

func (s *logStream) read(r io.Reader) {
	defer func() {
		if p := recover(); p != nil {
			s.put("", fmt.Errorf("reading the log: %v", p))
		}
	}()
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, tooLong, err := lines.ReadLine()
		if err != nil {
			s.put("", err)
			return
		}
		s.put(string(line), nil)
		for tooLong { // the rest of a line longer than the buffer is dropped
			if _, tooLong, err = lines.ReadLine(); err != nil {
				break
			}
		}
	}
}

func (s *logStream) put(line string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.err = err
	case len(s.lines) >= pendingLines:
		s.lines = s.lines[1:]
		s.lost++
		fallthrough
	default:
		s.lines = append(s.lines, line)
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

var errLogEnded = errors.New("nothing more is written")

// next waits for lines; there is one such command for a stream at any time.
func (s *logStream) next(opened int) tea.Cmd {
	return func() tea.Msg {
		select {
		case <-s.ctx.Done():
			return nil
		case <-s.ready:
		}
		if pause(s.ctx, eventsApart) != nil {
			return nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		msg := logMsg{opened: opened, lines: s.lines, skipped: s.lost, ended: s.err}
		if errors.Is(s.err, io.EOF) {
			msg.ended = errLogEnded
		}
		s.lines, s.lost = nil, 0
		return msg
	}
}
