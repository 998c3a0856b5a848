package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// besideLog is the memory that the program may use beside the request log
	// before it is collected more often than Go does.
	besideLog = 10 << 20
	// quietAfter is how long nothing must have been collected until memory that
	// is no longer needed is returned to the system, if it is worthwhile.
	quietAfter = 5 * time.Second
	worthwhile = 2 << 20
	// checkAgain is when memory is checked again while much of it is needed: connections
	// of a load may hold it for a while. Where the need is but a little above the floor,
	// it is checked fewChecks times, so that the program comes to rest.
	checkAgain = 10 * time.Second
	fewChecks  = 4
)

// memory keeps the program small. Left alone, Go lets the heap grow to twice
// what is reachable, which for a full request log is twice its budget, and
// returns little of that once a load is over.
//
// It has no clock of its own: it acts after collections, of which there are
// none while nothing happens.
type memory struct {
	floor uint64 // a limit lower than this is not set

	mu      sync.Mutex
	stopped bool
	quiet   *time.Timer
	own     uint64 // the number of collections when giveBack last returned
	checks  int    // how often memory was checked since the last other collection
}

// keepSmall keeps the program small until stop is called. A GOMEMLIMIT of the
// environment is left alone.
func keepSmall(logBudget int) (stop func()) {
	m := &memory{floor: uint64(logBudget) + besideLog}
	m.quiet = time.AfterFunc(quietAfter, m.giveBack)
	m.limit()
	m.watch()
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.stopped = true
		m.quiet.Stop()
	}
}

// watch calls collected after the next collection.
func (m *memory) watch() {
	runtime.AddCleanup(&struct{ *memory }{}, (*memory).collected, m)
}

func (m *memory) collected() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return
	}
	m.limit()
	if collections() != m.own {
		m.checks = 0
		m.quiet.Reset(quietAfter)
	}
	m.watch()
}

// limit sets how much memory there may be before it is collected again: a
// quarter more than what is reachable, but at least floor.
func (m *memory) limit() {
	if os.Getenv("GOMEMLIMIT") == "" {
		u := usage()
		debug.SetMemoryLimit(int64(max(m.floor, u.needed+u.needed/4)))
	}
}

// giveBack returns unneeded memory to the system. It collects first, because
// what was in use at the last collection may have been released since.
func (m *memory) giveBack() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return
	}
	runtime.GC()
	runtime.GC() // what pools hold goes with the second collection
	u := usage()
	if u.unneeded >= worthwhile {
		debug.FreeOSMemory()
	}
	if u.needed > m.floor+worthwhile || u.needed > m.floor && m.checks < fewChecks {
		m.checks++
		m.quiet.Reset(checkAgain) // nothing collects what is released when the load is over
	}
	m.own = collections()
}

// collections is the number of garbage collections so far.
func collections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// used is the memory that the Go runtime has from the system: what is reachable
// or serves the runtime, and what is free or no longer reachable.
type used struct{ needed, unneeded uint64 }

func usage() used {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	v := func(i int) uint64 { return samples[i].Value.Uint64() }
	total, released, free, objects, live := v(0), v(1), v(2), v(3), v(4)
	u := used{unneeded: free + objects - min(objects, live)}
	u.needed = total - min(total, released+u.unneeded)
	return u
}
