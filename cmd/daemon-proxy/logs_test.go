package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

func TestS45TheReaderOfStandardErrorMayLeave(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	p := &program{t: t, url: "http://localhost:" + strconv.Itoa(d.port), stderr: &wiretest.Buffer{}, ended: make(chan struct{})}
	p.cmd = exec.Command(d.binary, "--no-tui", "--daemon-mode", "host")
	p.cmd.Dir, p.cmd.Env = d.dir, d.environment()
	p.cmd.Stdout, p.cmd.Stderr = write, write
	require.NoError(t, p.cmd.Start())
	require.NoError(t, write.Close())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	defer func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}()
	_, err = bufio.NewReader(read).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, read.Close())
	p.eventually("the program answers", func() bool {
		status, _ := p.try("GET", "/health", "")
		return status == http.StatusOK
	})
	for i := range 5 { // each leaves a record
		status, _ := p.try("GET", fmt.Sprintf("/proxy/1/%d", i), "")
		require.NotZero(t, status)
	}
	p.eventually("the log has them", func() bool { return strings.Contains(logFile(t, d), "/proxy/1/4") })
}

func logFile(t *testing.T, d *desk) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(d.dir, "state", "daemon-proxy", "daemon-proxy.log"))
	require.NoError(t, err)
	return string(log)
}

func TestTheLastRequestBeforeASignalIsLogged(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.serving(t, []string{"DAEMON_MODE=host"})
	path := "/proxy/" + strconv.Itoa(speaking(t)) + "/the-last-one"
	p.eventually("the daemon of the host answers", func() bool {
		status, _ := p.try("GET", path, "")
		return status == http.StatusOK
	})
	p.expect(200, "", "GET", path+"-but-not-least", "")
	require.Zero(t, p.signal(syscall.SIGTERM))
	require.Contains(t, logFile(t, d), "/the-last-one-but-not-least 200")
}

func TestALongLineOfALogIsCut(t *testing.T) {
	t.Parallel()
	lines := bufio.NewReaderSize(strings.NewReader("short\r\n"+strings.Repeat("x", longestLine+10)+"\n\nlast"), longestLine)
	var read []string
	for {
		line, err := readLine(lines)
		if read = append(read, line); err != nil {
			break
		}
	}
	require.Len(t, read, 4)
	require.Equal(t, "short", read[0])
	require.Equal(t, strings.Repeat("x", longestLine)+"… (11 bytes cut)", read[1])
	require.Equal(t, []string{"", "last"}, read[2:])
}
