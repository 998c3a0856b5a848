package inject

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"daemon-proxy/core/sandbox/source"
)

// markEnv is the environment variable that marks a daytona that this program
// started, so that a later run of the program finds the process.
const markEnv = "DAEMON_PROXY_MARK"

// ownScript finds the processes that run the file $0 and were started with the
// mark $1; it exits with 3 if there are none. It compares files and not names,
// as a container with --pid host also sees the machine's other daemons, and it
// requires the mark, as the image or its user may have started the same file.
const ownScript = `
mark=$1
all() { for p in /proc/[0-9]*; do [ $p/exe -ef "$0" ] && grep -qs "$mark" $p/environ && echo ${p#/proc/}; done; }
found=$(all)
[ -n "$found" ] || exit 3
`

// killScript ends these processes and waits for them: it sends SIGTERM and, 6 s
// later, SIGKILL; the Daytona daemon takes up to 5 s.
const killScript = ownScript + `
kill -TERM $found
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
  [ -n "$(all)" ] || exit 0
  sleep 0.2
done
kill -KILL $(all)`

// ageScript prints for how many seconds the first of them has run. Linux reports
// a process's start in hundredths of a second since the machine's.
const ageScript = ownScript + `
set -- $found
read -r up rest </proc/uptime
read -r stat </proc/$1/stat
set -- ${stat##*) }
echo $((${up%.*} - ${20} / 100))`

// kill ends daemons that this program started from file: the built-in one by
// its own program, another with the container's shell.
func (j *Job) kill(ctx context.Context, file string, builtIn bool) error {
	cmd := []string{"/bin/sh", "-c", killScript, file, j.Mark}
	if builtIn {
		cmd = []string{file, "toolbox", "--stop"}
	}
	out, code, err := j.Source.Run(ctx, j.Container.ID, source.ExecSpec{Cmd: cmd})
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("exit code %d: %s", code, out)
	}
	return nil
}

// Age returns how long a daytona of ours has run in the container, -1 if that is
// unknown. The error is set if the container lacks the programs to find out.
func (j *Job) Age(ctx context.Context) (age time.Duration, running bool, err error) {
	cmd := []string{"/bin/sh", "-c", ageScript, j.installed(false), j.Mark}
	out, code, err := j.Source.Run(ctx, j.Container.ID, source.ExecSpec{Cmd: cmd})
	switch {
	case err != nil:
		return 0, false, err
	case code == 3:
		return 0, false, nil
	case code != 0:
		return 0, false, fmt.Errorf("exit code %d: %s", code, out)
	}
	if seconds, err := strconv.Atoi(strings.TrimSpace(string(out))); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true, nil
	}
	return -1, true, nil
}

// KillOurs ends the daytonas in the container that this program started.
func (j *Job) KillOurs(ctx context.Context) error { return j.kill(ctx, j.installed(false), false) }

// KillBuiltIn ends all built-in daemons in the container.
func (j *Job) KillBuiltIn(ctx context.Context) error { return j.kill(ctx, j.installed(true), true) }

// end stops the daemon whose start failed or was cancelled.
func (j *Job) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	if err := j.kill(ctx, j.target, j.binary.builtIn); err != nil {
		j.Log.Warn("a daemon whose start was cancelled could not be stopped", "sandbox", j.Ref.String(), "error", err)
	}
}
