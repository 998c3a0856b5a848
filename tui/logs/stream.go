package logs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
)

const (
	longestLine = 4096 // bytes; no more is kept of a line
	lineCut     = " (cut)"
	tail        = 500 // past lines that are requested
	// pendingLines and pendingBytes bound what is buffered for the UI; more is
	// dropped and counted.
	pendingLines = 2000
	pendingBytes = tail * longestLine
)

// line is a line as it is shown, and as plain text for the filter.
type line struct{ shown, plain string }

func newLine(s string) line {
	shown := text.Colours(s)
	return line{shown, strings.ToLower(ansi.Strip(shown))}
}

// stream reads a log line by line in a goroutine and buffers the lines, so that a
// flood causes one message every tenth of a second.
type stream struct {
	ctx   context.Context // of the log
	mu    sync.Mutex
	lines []string
	bytes int // in lines
	lost  int
	err   error
	ready chan struct{} // has an element while something is buffered
}

// streamMsg is a message about a log: first its stream, then lines, then its end.
type streamMsg struct {
	opened  int
	stream  *stream
	lines   []line
	skipped int
	ended   error
}

// follow reads r until it or ctx ends, and closes it.
func follow(ctx context.Context, r io.ReadCloser) *stream {
	s := &stream{ctx: ctx, ready: make(chan struct{}, 1)}
	stop := context.AfterFunc(ctx, func() { r.Close() })
	go func() {
		defer r.Close()
		defer stop()
		s.read(r)
	}()
	return s
}

func (s *stream) read(r io.Reader) {
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
		whole := string(line)
		if tooLong || len(line) > longestLine {
			whole = string(line[:longestLine-len(lineCut)]) + lineCut
		}
		s.put(whole, nil)
		for tooLong { // the rest of a line longer than the buffer is dropped
			if _, tooLong, err = lines.ReadLine(); err != nil {
				break
			}
		}
	}
}

func (s *stream) put(line string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.err = err
	} else {
		s.lines, s.bytes = append(s.lines, line), s.bytes+len(line)
	}
	for len(s.lines) > pendingLines || s.bytes > pendingBytes {
		s.bytes -= len(s.lines[0])
		s.lines = s.lines[1:]
		s.lost++
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

var errEnded = errors.New("nothing more is written")

// next waits for lines and cleans them; a stream has one such command at a time.
func (s *stream) next(opened int) tea.Cmd {
	return func() tea.Msg {
		select {
		case <-s.ctx.Done():
			return nil
		case <-s.ready:
		}
		if pane.Pause(s.ctx, pane.EventsApart) != nil {
			return nil
		}
		s.mu.Lock()
		lines, msg := s.lines, streamMsg{opened: opened, skipped: s.lost, ended: s.err}
		s.lines, s.bytes, s.lost = nil, 0, 0
		s.mu.Unlock()
		if errors.Is(msg.ended, io.EOF) {
			msg.ended = errEnded
		}
		for _, line := range lines {
			msg.lines = append(msg.lines, newLine(line))
		}
		return msg
	}
}
