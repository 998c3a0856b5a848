package sandbox

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/source"
)

// ownScript finds the processes that run the file $0 and were started with the
// mark $1; it ends with 3 if there are none. It goes by the file and not by the
// name, so that in a container that sees the machine's processes (--pid host)
// nobody else's daemon is meant, and by the mark, so that one is not which the
// image or its user started from the same file.
const ownScript = `
mark=$1
all() { for p in /proc/[0-9]*; do [ $p/exe -ef "$0" ] && grep -qs "$mark" $p/environ && echo ${p#/proc/}; done; }
found=$(all)
[ -n "$found" ] || exit 3
`

// killScript ends them, and waits for their end: 6 s after SIGTERM, for the
// Daytona daemon takes up to 5, then SIGKILL.
const killScript = ownScript + `
kill -TERM $found
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
  [ -n "$(all)" ] || exit 0
  sleep 0.2
done
kill -KILL $(all)`

// ageScript says for how many seconds the first of them runs: a process's start
// is in hundredths of a second since the machine's.
const ageScript = ownScript + `
set -- $found
read -r up rest </proc/uptime
read -r stat </proc/$1/stat
set -- ${stat##*) }
echo $((${up%.*} - ${20} / 100))`

// claim completes what was found in b: whether this program started it, in an
// earlier run too, and since when it runs. A built-in daemon that knows our
// secret has said so itself; for another the container is asked, and if it
// cannot tell (no shell), what was known before stays.
func (b *box) claim(ctx context.Context, f daemon.Info) daemon.Info {
	b.set.mu.Lock()
	id, started := b.ID, b.Daemon.Started
	own := b.own()
	b.set.mu.Unlock()
	if !own {
		return f
	}
	if f.Kind == daemon.KindBuiltIn {
		started = true
	} else {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		out, code, err := b.set.o.Source.Run(ctx, id, source.ExecSpec{Cmd: []string{"/bin/sh", "-c", ageScript, b.set.installed(false), b.set.keys.mark(id)}})
		switch {
		case err == nil && code == 0:
			started = true
			if age, err := strconv.Atoi(strings.TrimSpace(string(out))); err == nil && age >= 0 {
				f.Started = time.Now().Add(-time.Duration(age) * time.Second)
			}
		case err == nil && code == 3:
			started = false
		}
	}
	b.update(func(b *box) { b.Daemon.Started = started })
	return f
}

// killAll ends daemons that this program started from file: the built-in one by
// its own program, another with the container's shell.
func (in *injection) killAll(ctx context.Context, file string, builtIn bool) error {
	cmd := []string{"/bin/sh", "-c", killScript, file, in.s.keys.mark(in.c.ID)}
	if builtIn {
		cmd = []string{file, "toolbox", "--stop"}
	}
	out, code, err := in.s.o.Source.Run(ctx, in.c.ID, source.ExecSpec{Cmd: cmd})
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("exit code %d: %s", code, out)
	}
	return nil
}

// replaceStranger ends a built-in daemon that is not known to be ours.
func (in *injection) replaceStranger(why string) error {
	if err := in.killAll(in.ctx, in.s.installed(true), true); err != nil {
		return problem(in.ref, api.CodePortTaken,
			fmt.Sprintf("a built-in daemon answers for %s that does not prove to be ours, and it cannot be ended there: %v", in.ref, err),
			in.s.o.Source.Hint(source.HintRestart, in.ref.Name)).Because(err)
	}
	in.did(api.StepAdopt, "%s: it is replaced", why)
	return nil
}

// end stops a daemon whose start is given up, so that none is left behind.
func (in *injection) end() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.ctx), cleanTimeout)
	defer cancel()
	if err := in.killAll(ctx, in.target, in.binary.builtIn); err != nil {
		in.s.log.Warn("a daemon whose start was given up could not be ended", "sandbox", in.ref.String(), "error", err)
	}
}
