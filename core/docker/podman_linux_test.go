package docker_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/sandbox/source/sourcetest"
	"daemon-proxy/core/wiretest"
)

func TestB20ContractOfASourceOnPodman(t *testing.T) {
	sourcetest.Run(t, world(t, enginetest.Podman(t)))
}

// A connection of the podman CLI to a machine that has a new host key whenever it
// is made, with a key that no configuration of ssh names.
func TestB31AConnectionOfThePodmanCLIOverSSH(t *testing.T) {
	enginetest.Podman(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{})
	socket := strings.TrimPrefix(os.Getenv("DOCKER_HOST"), "unix://")
	for name, sshd := range map[string][]string{"through a tunnel": nil, "without tunnels": {"AllowStreamLocalForwarding no"}} {
		t.Run(name, func(t *testing.T) {
			box := wiretest.NewSSHD(t, append(sshd, few...)...)
			conf := filepath.Join(t.TempDir(), "containers.conf")
			require.NoError(t, os.WriteFile(conf, nil, 0o600))
			add := exec.Command("podman", "system", "connection", "add", "--identity", box.Key, "box", "ssh://root@"+box.Address)
			add.Env = append(os.Environ(), "CONTAINERS_CONF="+conf)
			out, err := add.CombinedOutput()
			require.NoError(t, err, "%s", out)
			text, err := os.ReadFile(conf)
			require.NoError(t, err)
			// Podman 4.3 asks the other machine for the path, which is not that of the test,
			// and has no option to say that it is a machine.
			uri := regexp.MustCompile(`uri = "ssh://root@` + box.Address + `[^"]*`)
			require.Regexp(t, uri, string(text))
			text = uri.ReplaceAll(text, []byte("is_machine = true\nuri = \"ssh://root@"+box.Address+socket))
			require.NoError(t, os.WriteFile(conf, text, 0o600))

			ssh := filepath.Join(t.TempDir(), "ssh")
			require.NoError(t, os.WriteFile(ssh, []byte("#!/bin/sh\ncase $* in *IdentitiesOnly=yes*|*forward*) ;; *) exit 255;; esac\nexec "+
				wiretest.Program(t, "ssh")+" \"$@\"\n"), 0o755))
			e, err := docker.Open(docker.Options{Context: "box", LookPath: func(string) (string, error) { return ssh, nil },
				Env: func(name string) string { return map[string]string{"CONTAINERS_CONF": conf}[name] }})
			require.NoError(t, err)
			defer e.Close()
			require.Equal(t, "box", e.Name())
			_, err = e.Ping(t.Context())
			require.NoError(t, err)
			require.Equal(t, id, find(t, e, id).ID)
			pipe, err := e.OpenPipe(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/cat"}}, io.Discard)
			require.NoError(t, err)
			fmt.Fprintln(pipe, "hello")
			echo := make([]byte, len("hello\n"))
			_, err = io.ReadFull(pipe, echo)
			require.NoError(t, err)
			require.Equal(t, "hello\n", string(echo))
			require.NoError(t, pipe.Close())
			require.NoError(t, e.Close())
			require.Eventually(t, func() bool { return len(box.Connections())+len(box.Started()) == 0 }, soon, wiretest.Tick)
		})
	}
}
