//go:build !linux

package lineartest

import "time"

var began = time.Now()

// cpuTime is the time that has passed: there is no clock of the thread here.
func cpuTime() time.Duration { return time.Since(began) }
