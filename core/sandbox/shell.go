package sandbox

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

const (
	// longestLine bounds the first line of a terminal, in bytes.
	longestLine = 512
	// hangUpTime bounds what Close does in the container.
	hangUpTime = 10 * time.Second
	// endWithin is how long what runs in a terminal may take to end when it is
	// closed, before it is killed.
	endWithin = 2 * time.Second
	// endLook is how often that is looked at.
	endLook = 50 * time.Millisecond
)

// shells are tried in this order.
var shells = [][]string{
	{"/bin/bash"}, {"/usr/bin/bash"}, {"/usr/local/bin/bash"}, {"/bin/sh"}, {"/usr/bin/sh"}, {"/bin/ash"},
	{"/bin/busybox", "sh"}, {"/busybox/sh"}, {"/busybox/busybox", "sh"}, {"/usr/bin/busybox", "sh"},
}

// Shell opens a shell in the container of ref on a terminal of that size; ctx
// bounds the opening only. The problem is no_shell if it has none.
func (s control) Shell(ctx context.Context, ref api.Ref, columns, rows int) (*Shell, error) {
	c, err := s.inspect(ctx, ref)
	if err != nil {
		return nil, err
	}
	if err := s.why.notRunning(ref, c.State); err != nil {
		return nil, err
	}
	for _, program := range shells {
		stat, err := s.source.Stat(ctx, c.ID, program[0])
		if errors.Is(err, fs.ErrNotExist) || err == nil && stat.Mode.IsDir() {
			continue
		}
		if err != nil {
			return nil, s.why.refused(ref, "look for a shell in", source.HintExec, err)
		}
		shell, err := openShell(ctx, s.source, c.ID, program, columns, rows)
		if err != nil {
			return nil, s.why.refused(ref, "open a shell in", source.HintExec, err)
		}
		return shell, nil
	}
	return nil, ref.Problem(api.CodeNoShell,
		"the image of "+ref.String()+" has no shell (looked for bash, sh, ash and busybox)",
		"inspect it from outside: "+s.source.Hint(source.HintFiles, ref.Name))
}

// Shell is a shell in a container. Read ends with io.EOF when the shell does.
type Shell struct {
	source.Terminal
	source  source.Source
	id      string   // of the container
	program []string // that runs the shell
	session string   // the number of the shell's process and session; empty: unknown
	close   func() error
}

// saysNumber makes the shell's first line its number in the container, which is
// also that of its session: engines report only the number outside.
const saysNumber = `echo $$; exec "$0" "$@"`

func openShell(
	ctx context.Context, from source.Source, id string, program []string, columns, rows int,
) (*Shell, error) {
	spec := source.ExecSpec{Cmd: slices.Concat(program, []string{"-c", saysNumber}, program),
		Env: []string{"TERM=xterm-256color"}}
	t, err := from.OpenTerminal(ctx, id, spec, columns, rows)
	if err != nil {
		return nil, err
	}
	s := &Shell{Terminal: t, source: from, id: id, program: program}
	s.close = sync.OnceValue(s.hangUp)
	cut := context.AfterFunc(ctx, func() { _ = t.Close() })
	err = s.readNumber()
	if !cut() {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// readNumber reads the first line. One that is no number is the reason why the
// shell does not start.
func (s *Shell) readNumber() error {
	var line []byte
	for one := make([]byte, 1); one[0] != '\n' && len(line) < longestLine; line = append(line, one[0]) {
		if _, err := io.ReadFull(s.Terminal, one); err != nil {
			return err
		}
	}
	number := strings.TrimSpace(string(line))
	if _, err := strconv.ParseUint(number, 10, 32); err != nil {
		return errors.New("it does not start: " + strconv.Quote(number))
	}
	s.session = number
	return nil
}

// Close hangs up and ends what runs in the terminal: engines leave it running.
func (s *Shell) Close() error { return s.close() }

// sendSignal sends a signal, its first argument, to all processes of a session.
// It needs nothing but a shell: the number of the session is the fourth word
// behind the process's name.
const sendSignal = `for f in /proc/[0-9]*/stat; do
	read -r line <"$f" || continue
	rest=${line##*) }
	session=${rest#* * * }
	[ "${session%% *}" = "$2" ] && kill "-$1" "${line%% *}"
done 2>/dev/null`

func (s *Shell) hangUp() error {
	err := s.Terminal.Close()
	ctx, cancel := context.WithTimeout(context.Background(), hangUpTime)
	defer cancel()
	if s.session == "" || s.ended(ctx, 0) {
		return err
	}
	// As a kernel does that loses a terminal: what is stopped has to see it, too.
	if s.signal(ctx, "HUP") && s.signal(ctx, "CONT") && !s.ended(ctx, endWithin) {
		s.signal(ctx, "KILL")
	}
	return err
}

// signal reports whether the container could be told.
func (s *Shell) signal(ctx context.Context, name string) bool {
	cmd := slices.Concat(s.program, []string{"-c", sendSignal, s.program[0], name, s.session})
	_, _, err := s.source.Run(ctx, s.id, source.ExecSpec{Cmd: cmd})
	return err == nil
}

// ended reports whether the shell has ended, or does within that time.
func (s *Shell) ended(ctx context.Context, within time.Duration) bool {
	for end := time.Now().Add(within); ; {
		running, _, err := s.Running(ctx)
		if err != nil || !running {
			return true // where the engine or the container has gone, so has the shell
		}
		if !time.Now().Before(end) {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(endLook):
		}
	}
}
