// Package lineartest tests that the work on a text grows no faster than the
// text: functions that read foreign text may be given a megabyte of it.
package lineartest

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// growth is how much more work ten times the text may be; where each byte
	// costs a look at all others it is 100.
	growth = 40
	// slack is what is too little to be measured.
	slack = 2 * time.Millisecond
	tries = 3
)

// Run gives work texts of 10 KB, 100 KB and 1 MB, each of them unit repeated
// between first and last, and fails if the processor's time grows faster.
func Run(t *testing.T, first, unit, last string, work func(text string)) {
	t.Helper()
	var smaller string
	for _, size := range []int{10_000, 100_000, 1_000_000} {
		text := make([]byte, 0, size+len(unit)+len(first)+len(last))
		for text = append(text, first...); len(text) < size; {
			text = append(text, unit...)
		}
		text = append(text, last...)
		if smaller != "" {
			requireLinear(t, smaller, string(text), unit, work)
		}
		smaller = string(text)
	}
}

func requireLinear(t *testing.T, smaller, larger, unit string, work func(string)) {
	t.Helper()
	var few, many time.Duration
	for range tries { // a collection of garbage may be charged to either
		few, many = cost(smaller, work), cost(larger, work)
		if many <= growth*max(few, slack) {
			return
		}
	}
	require.Failf(t, "not linear", "%d bytes of %q cost %v, %d bytes %v", len(smaller), unit, few, len(larger), many)
}

// cost is the processor's time that work takes.
func cost(text string, work func(string)) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := cpuTime()
	work(text)
	return cpuTime() - start
}
