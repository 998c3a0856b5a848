package lineartest

import (
	"syscall"
	"time"
)

// cpuTime is the processor's time that this thread has used.
func cpuTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD, see getrusage(2)
	var used syscall.Rusage
	if syscall.Getrusage(thread, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
