package logging

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// disk counts what is written to it; it can be held.
type disk struct {
	mu     sync.Mutex
	held   sync.Mutex
	writes int
	text   strings.Builder
}

func (d *disk) Write(p []byte) (int, error) {
	d.held.Lock()
	defer d.held.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	return d.text.Write(p)
}

func (d *disk) read() (writes int, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes, d.text.String()
}

func (d *disk) lines() int {
	_, text := d.read()
	return strings.Count(text, "\n")
}

func TestManyRecordsAreWrittenAtOnceAndNoneIsLost(t *testing.T) {
	t.Parallel()
	var d disk
	logger, output, err := New(Options{Format: "%(message)s", Stderr: &d})
	require.NoError(t, err)
	const loggers, each = 8, 2000
	var all sync.WaitGroup
	for i := range loggers {
		all.Go(func() {
			for j := range each {
				logger.Info(fmt.Sprintf("%d-%d", i, j))
			}
		})
	}
	all.Wait()
	require.Eventually(t, func() bool { return d.lines() == loggers*each }, time.Minute, time.Millisecond, "without a flush")
	writes, text := d.read()
	require.Less(t, writes, loggers*each/20)
	next := [loggers]int{}
	for line := range strings.Lines(text) {
		var i, j int
		_, err := fmt.Sscanf(line, "%d-%d\n", &i, &j)
		require.NoError(t, err)
		require.Equal(t, next[i], j, "the order of one logger is kept")
		next[i]++
	}
	logger.Info("the last one")
	require.NoError(t, output.Close())
	_, text = d.read()
	require.True(t, strings.HasSuffix(text, "the last one\n"))
}

func TestAnErrorIsWrittenBeforeLoggingItReturns(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.log")
	logger, output, err := New(Options{Format: "%(message)s", File: file, MaxSizeMB: 1})
	require.NoError(t, err)
	defer output.Close()
	logger.Info("before it")
	logger.With("a", 1).WithGroup("g").Error("it broke")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "before it\nit broke a=1\n", string(text))
}

func TestADiskThatHangsHoldsUpOnlyThoseWhoLogMuch(t *testing.T) {
	t.Parallel()
	var d disk
	logger, output, err := New(Options{Format: "%(message)s", Stderr: &d})
	require.NoError(t, err)
	d.held.Lock()
	record := strings.Repeat("x", 1000)
	for range maxWaiting / 2 / len(record) {
		logger.Info(record) // it returns: or the test would hang
	}
	const more = 2 * maxWaiting / 1000
	logged := make(chan int, more)
	go func() {
		for i := range more {
			logger.Info(record)
			logged <- i
		}
		close(logged)
	}()
	time.Sleep(2 * latest)
	require.Less(t, len(logged), more, "what waits is bounded")
	d.held.Unlock()
	for range logged {
	}
	require.NoError(t, output.Close())
	require.Equal(t, maxWaiting/2/len(record)+more, d.lines())
}
