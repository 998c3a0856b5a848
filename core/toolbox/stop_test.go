package toolbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/daemon"
	"daemon-proxy/core/docker/enginetest"
)

// Two copies of one program run; one of them is told to stop the others that
// run from its own file.
func TestStopOthersEndsThoseOfItsOwnFileOnly(t *testing.T) {
	t.Parallel()
	program := enginetest.StaticGo(t, "daemon-proxy/cmd/toolbox")
	raw, err := os.ReadFile(program)
	require.NoError(t, err)
	other := filepath.Join(t.TempDir(), filepath.Base(program))
	enginetest.WriteExecutable(t, other, raw)
	run := func(file string) (*exec.Cmd, chan error) {
		cmd := exec.CommandContext(t.Context(), file, "toolbox", "--addr", "127.0.0.1:0", "--log-file", filepath.Join(t.TempDir(), "log"))
		cmd.Env = append(os.Environ(), daemon.SecretEnv+"=s")
		require.NoError(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		return cmd, ended
	}
	_, mine := run(program)
	stranger, theirs := run(other)
	t.Cleanup(func() { _ = stranger.Process.Kill(); <-theirs })

	out, err := exec.CommandContext(t.Context(), program, "toolbox", "--stop").CombinedOutput()
	require.NoError(t, err, string(out))
	<-mine
	select {
	case <-theirs:
		require.Fail(t, "another file's process was ended")
	default:
	}
	out, err = exec.CommandContext(t.Context(), program, "toolbox", "--stop").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "no other process")
}
