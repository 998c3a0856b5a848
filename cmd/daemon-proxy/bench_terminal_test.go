//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

// painted is a program on a terminal that answers as terminals do, with the
// time at which each piece was written.
type painted struct {
	b        *testing.B
	cmd      *exec.Cmd
	terminal *os.File
	began    time.Time // just before exec
	frames   atomic.Int64

	mu     sync.Mutex
	all    []byte
	pieces []piece
	read   chan struct{} // closed at the end
}

type piece struct {
	end int // in all
	at  time.Time
}

// paint starts cmd on a terminal of 120×40.
func (d *desk) paint(b *testing.B, cmd *exec.Cmd, env ...string) *painted {
	b.Helper()
	cmd.Dir = d.dir
	cmd.Env = append(append(d.environment(), "TERM=xterm-256color", "LANG=C.UTF-8"), env...)
	p := &painted{b: b, cmd: cmd, read: make(chan struct{}), began: time.Now()}
	var err error
	p.terminal, err = pty.StartWithSize(cmd, &pty.Winsize{Cols: 120, Rows: 40})
	require.NoError(b, err)
	b.Cleanup(func() {
		p.end()
		if b.Failed() {
			b.Logf("the program wrote at last:\n%q", p.all[max(0, len(p.all)-8000):])
		}
	})
	go p.follow()
	return p
}

func (p *painted) follow() {
	defer close(p.read)
	buffer := make([]byte, 64<<10)
	for {
		n, err := p.terminal.Read(buffer)
		got := buffer[:n]
		p.mu.Lock()
		p.all = append(p.all, got...)
		p.pieces = append(p.pieces, piece{len(p.all), time.Now()})
		p.mu.Unlock()
		p.frames.Add(int64(bytes.Count(got, []byte("\x1b[H")))) // each frame begins so
		if bytes.Contains(got, []byte("\x1b[c")) {
			p.types("\x1b]11;rgb:0000/0000/0000\x1b\\\x1b[?62;22c")
		}
		if err != nil {
			return // EIO: nobody has the terminal open any more
		}
	}
}

func (p *painted) types(keys string) { _, _ = p.terminal.WriteString(keys) }

// written is how much was written yet.
func (p *painted) written() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all)
}

// since is what was written after from.
func (p *painted) since(from int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.all[from:])
}

// shows waits until something that matches was written after from, and is when.
func (p *painted) shows(pattern string, from int) time.Time {
	p.b.Helper()
	want := regexp.MustCompile(pattern)
	var at time.Time
	require.Eventually(p.b, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		place := want.FindIndex(p.all[from:])
		if place == nil {
			return false
		}
		for _, piece := range p.pieces {
			if piece.end >= from+place[1] {
				at = piece.at
				break
			}
		}
		return true
	}, endsWithin, 5*time.Millisecond, "%s is shown", pattern)
	return at
}

// end quits the program.
func (p *painted) end() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(endsWithin, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait() // how it ends is another test's
	p.terminal.Close()
	<-p.read
}

// cpu is the CPU time of the program's threads, user and system.
func (p *painted) cpu() (sum time.Duration) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	require.NoError(p.b, err)
	for _, thread := range threads {
		raw, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		ns, _, _ := strings.Cut(string(raw), " ")
		n, _ := strconv.ParseInt(ns, 10, 64) // a number, says the kernel
		sum += time.Duration(n)
	}
	return sum
}

// resident is the program's VmRSS in MB.
func (p *painted) resident() float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(p.b, err)
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	require.NoError(p.b, err)
	return n / 1024
}
