package main

import (
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/wiretest"
)

// Previews of an engine behind an sshd that allows little: through a bridge, after
// the connection was cut, and nothing is left after the program was killed.
func TestB30B22PreviewsOfAnEngineOverSSH(t *testing.T) {
	t.Parallel()
	path := engineSocket(t)
	for name, sshd := range map[string][]string{"through a tunnel": nil, "without tunnels": {"AllowStreamLocalForwarding no"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if sshd != nil {
				wiretest.Program(t, "docker")
			}
			box := wiretest.NewSSHD(t, append(sshd, "MaxSessions 2", "MaxStartups 2")...)
			bin := filepath.Dir(box.Client(t, box.Address, ""))
			name, id := streamsBox(t, enginetest.RunOptions{Network: "none"})
			p := newDesk(t).serving(t, []string{"PATH=" + bin + ":" + os.Getenv("PATH")},
				"--daemon-mode", "docker", "--container-name", name, "--docker-host", "ssh://box"+path)
			p.healthy()
			via, why := p.via(name)
			require.Equal(t, "exec", via, why)
			token, url, _ := p.link(`{"port":8080}`)
			streamsWork(t, url, large)

			box.Cut()
			p.eventually("the preview works again", func() bool {
				status, answer := p.try("GET", url+"/", "")
				return status == http.StatusOK && answer == "service on localhost:8080"
			})
			revokingEnds(t, p, token, url)

			p.signal(syscall.SIGKILL)
			p.eventually("nothing is left on either side", func() bool {
				return len(wiretest.ProcessesWith(bin+"/"))+len(box.Connections())+len(box.Started()) == 0
			})
			p.eventually("nothing of the bridge is left", func() bool { return bridges(t, id) == 0 })
		})
	}
}
