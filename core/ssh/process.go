package ssh

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"daemon-proxy/core/logging"
)

const (
	// hangUp is how long a process may take to end once its streams are closed, and
	// then once it was asked to.
	hangUp = 2 * time.Second
	// quiet is how long what ssh writes is held back while it connects: if it
	// fails soon, the error has it.
	quiet = time.Second
	// maxSaid bounds how much of what ssh wrote is kept.
	maxSaid = 4 << 10
)

// Process is a running ssh.
type Process struct {
	// Stdout and Stdin are this program's ends of its streams, which the caller closes.
	Stdout, Stdin *os.File

	cmd   *exec.Cmd
	said  said
	done  chan struct{} // closed when it has been reaped
	ended error         // of Wait; read it only after done
}

// Start starts ssh. attended: a person is at the terminal, at which ssh may ask
// for a password; show, if it is not nil, gets what ssh has to say until Silence is
// called, such as that a key has to be touched.
func Start(program string, args []string, attended bool, show io.Writer) (*Process, error) {
	if attended {
		return start(foreground(program, args), show)
	}
	return start(background(program, args), show)
}

func start(cmd *exec.Cmd, show io.Writer) (*Process, error) {
	theirIn, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdout, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), stdin.Close())
	}
	p := &Process{Stdout: stdout, Stdin: stdin, cmd: cmd, done: make(chan struct{})}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirIn, theirOut, &p.said
	cmd.WaitDelay = hangUp
	err = cmd.Start()
	err = errors.Join(err, theirIn.Close(), theirOut.Close()) // it has its own copies
	if err != nil {
		return nil, errors.Join(err, stdout.Close(), stdin.Close())
	}
	p.said.showAfter(quiet, show)
	go func() { // End waits for done
		defer close(p.done)
		p.ended = p.cmd.Wait()
	}()
	return p, nil
}

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Result waits for the end of a process whose streams have ended. It returns the
// exit code and, if that is not 0, an error; -1 if it does not end, or was killed.
func (p *Process) Result() (code int, err error) {
	timer := time.NewTimer(hangUp)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), p.ended
	case <-timer.C:
		return -1, nil
	}
}

// Said is the end of what it wrote to its standard error, in one line that may be shown.
func (p *Process) Said() string { return p.said.String() }

// Silence ends the showing of what ssh says.
func (p *Process) Silence() { p.said.silence() }

// End waits for the end of a process whose streams are closed. It ends one that
// does not end.
func (p *Process) End() {
	p.Silence()
	for _, end := range []func(*exec.Cmd){ask, kill} {
		timer := time.NewTimer(hangUp)
		select {
		case <-p.done:
			timer.Stop()
			return
		case <-timer.C:
			end(p.cmd)
		}
	}
	<-p.done
}

// said keeps the last bytes that ssh wrote to its standard error, and shows them
// while it may need a person.
type said struct {
	mu     sync.Mutex
	kept   []byte
	shown  io.Writer // nil: nobody
	silent bool
	timer  *time.Timer
}

// showAfter shows what was and will be written, once it was held back for a while.
func (s *said) showAfter(wait time.Duration, to io.Writer) {
	if to == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.silent {
			_, _ = to.Write(s.kept) // a terminal that has gone
			s.shown = to
		}
	})
}

// silence ends what showAfter began.
func (s *said) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown, s.silent = nil, true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// Write implements io.Writer.
func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown != nil {
		_, _ = s.shown.Write(p) // a terminal that has gone
	}
	s.kept = append(s.kept, p...)
	if over := len(s.kept) - maxSaid; over > 0 {
		s.kept = append([]byte(nil), s.kept[over:]...)
	}
	return len(p), nil
}

// String is what was kept, in one line that may be shown, without what ssh says of
// keys that it has accepted.
func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var words [][]byte
	for line := range bytes.Lines(s.kept) {
		if !bytes.HasPrefix(line, []byte("Warning: Permanently added ")) {
			words = append(words, bytes.Fields(line)...)
		}
	}
	return logging.Printable(string(bytes.Join(words, []byte(" "))))
}
