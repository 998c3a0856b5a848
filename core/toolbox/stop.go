package toolbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// stopGrace is what a daemon gets to end by itself; what is under way in it
// gets 5 s.
const stopGrace = 6 * time.Second

// StopOthers ends the other processes that run this very program file as a
// daemon here, and waits for their end. It needs no shell: it is how a daemon
// whose secret is lost is replaced. The error says so if there was none.
func StopOthers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopGrace+2*time.Second)
	defer cancel()
	found, err := others()
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("no other process is running this program")
	}
	grace := time.After(stopGrace)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	if err := signalAll(found, syscall.SIGTERM); err != nil {
		return err
	}
	for {
		if found, err = others(); err != nil || len(found) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it did not exit: %w", ctx.Err())
		case <-grace:
			if err := signalAll(found, os.Kill); err != nil {
				return err
			}
		case <-look.C:
		}
	}
}

func signalAll(pids []int, signal os.Signal) error {
	for _, pid := range pids {
		p, err := os.FindProcess(pid)
		if err == nil {
			err = p.Signal(signal)
		}
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("end process %d: %w", pid, err)
		}
	}
	return nil
}

// others are the daemons, this process not counted, whose program is the same file.
func others() ([]int, error) {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	programs, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, program := range programs {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(program)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if info, err := os.Stat(program); err == nil && os.SameFile(own, info) && !isBridge(pid) {
			found = append(found, pid)
		}
	}
	return found, nil
}

// isBridge reports whether a process of this program is a bridge, which ends with
// the program that has started it.
func isBridge(pid int) bool {
	arguments, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && bytes.HasSuffix(arguments, []byte("\x00toolbox\x00bridge\x00"))
}

// EndStopped kills the bridges of this container that a signal has stopped (SIGSTOP).
// They do not see that their input has ended, and carry nothing for anybody: this
// program gives such a bridge up, and starts another one.
func EndStopped() {
	programs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return
	}
	here, err := os.Readlink("/proc/self/ns/mnt") // others may be visible here
	if err != nil {
		return
	}
	for _, program := range programs {
		pid, err := strconv.Atoi(filepath.Base(program))
		if err != nil || !isBridge(pid) || !isStopped(pid) {
			continue
		}
		if there, err := os.Readlink(filepath.Join(program, "ns/mnt")); err == nil && there == here {
			_ = signalAll([]int{pid}, os.Kill) // it may be another user's
		}
	}
}

// isStopped reports whether a signal has stopped a process. Its state follows its
// name in parentheses. Source: proc_pid_stat(5).
func isStopped(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	end := bytes.LastIndexByte(stat, ')')
	return err == nil && end >= 0 && len(stat) > end+2 && stat[end+2] == 'T'
}
