package wiretest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// SSHD is an sshd on a loopback port that lets everybody in who has Key.
type SSHD struct {
	Address string
	Folder  string // of the configuration and keys of both sides; others can read it
	Key     string // the file of the private key
	mark    string // in the environment of what runs in its sessions

	t      testing.TB
	server *exec.Cmd
	said   *Buffer
}

// NewSSHD starts one with further lines of configuration. It and all that runs in
// its sessions end with the test.
func NewSSHD(t testing.TB, config ...string) *SSHD {
	t.Helper()
	sshd, keygen := Program(t, "sshd"), Program(t, "ssh-keygen")
	folder, err := os.MkdirTemp("/tmp", "daemon-proxy-sshd-") // others must be able to get there
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o755))
	s := &SSHD{t: t, Folder: folder, Key: filepath.Join(folder, "key"), mark: "DP_TEST_SSHD=" + folder, said: &Buffer{}}
	for _, key := range []string{"host", "key"} {
		out, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(folder, key)).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	listener := Listen(t)
	s.Address = listener.Addr().String()
	listener.Close()
	require.NoError(t, os.MkdirAll("/run/sshd", 0o755))
	environment := "SetEnv " + s.mark
	for i, line := range config {
		if set, ok := strings.CutPrefix(line, "SetEnv "); ok { // only one such line counts
			config = append(slices.Clone(config[:i]), config[i+1:]...)
			environment += " " + set
			break
		}
	}
	lines := append(slices.Clone(config), // the first of a kind counts
		"ListenAddress "+s.Address, "HostKey "+folder+"/host", "AuthorizedKeysFile "+folder+"/key.pub", "StrictModes no",
		"UsePAM no", "PasswordAuthentication no", "PidFile none", "PrintMotd no", "AcceptEnv *", environment)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "sshd_config"), []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	s.server = exec.Command(sshd, "-D", "-e", "-f", filepath.Join(folder, "sshd_config"))
	s.server.Stdout, s.server.Stderr = s.said, s.said
	require.NoError(t, s.server.Start())
	t.Cleanup(func() {
		s.Cut()
		require.NoError(t, s.server.Process.Kill())
		_ = s.server.Wait()
		for _, pid := range s.Started() { // what a test that failed has left
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("sshd wrote:\n%s", s.said)
		}
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", s.Address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, Patience, Tick, "sshd listens")
	return s
}

// Client makes an ssh that finds the sshd, under the name "box", at an address.
// as is the user to log in as; empty: this one.
func (s *SSHD) Client(t testing.TB, address, as string, config ...string) (program string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	if as == "" {
		me, err := user.Current()
		require.NoError(t, err)
		as = me.Username
	}
	dir := t.TempDir()
	lines := append(append([]string{"Host box"}, config...), // the first of a kind counts
		"HostName "+host, "Port "+port, "User "+as, "IdentityFile "+s.Key, "IdentitiesOnly yes",
		"UserKnownHostsFile "+dir+"/known", "StrictHostKeyChecking accept-new")
	file := filepath.Join(dir, "ssh_config")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	// What the program itself has to say with -F comes first, and counts.
	script := "#!/bin/sh\n[ \"$1\" = -F ] && exec " + Program(t, "ssh") + " \"$@\"\nexec " + Program(t, "ssh") + " -F " + file + " \"$@\"\n"
	program = filepath.Join(dir, "ssh")
	require.NoError(t, os.WriteFile(program, []byte(script), 0o755))
	return program
}

// Said is what sshd has logged.
func (s *SSHD) Said() string { return s.said.String() }

// Connections are the processes of sshd for its connections.
func (s *SSHD) Connections() []int {
	return processes(func(pid int, parent string) bool { return parent == strconv.Itoa(s.server.Process.Pid) })
}

// Started are the processes of its sessions, without sshd's own.
func (s *SSHD) Started() []int {
	return processes(func(pid int, _ string) bool {
		environment, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		return bytes.Contains(environment, []byte(s.mark+"\x00"))
	})
}

// Cut ends all connections, without a word to the other side.
func (s *SSHD) Cut() {
	for _, pid := range s.Connections() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by now
	}
}

// ProcessesWith are the processes with a text among their arguments.
func ProcessesWith(text string) []int {
	return processes(func(pid int, _ string) bool {
		arguments, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		return bytes.Contains(arguments, []byte(text))
	})
}

// processes are those that match; what has ended and waits for its parent does not count.
func processes(match func(pid int, parent string) bool) (pids []int) {
	found, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range found {
		stat, err := os.ReadFile(path)
		_, rest, ok := bytes.Cut(stat, []byte(") "))
		fields := strings.Fields(string(rest))
		if err != nil || !ok || len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		if pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))); match(pid, fields[1]) {
			pids = append(pids, pid)
		}
	}
	return pids
}
