package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

const (
	// lookForSocket is how often a tunnel that is being opened is looked at. The
	// login alone takes a multiple of it.
	lookForSocket = 10 * time.Millisecond
	// maxSocketPath is what all systems take: 104 bytes with a terminating zero
	// (macOS), of which ssh needs 17 while it makes its control socket.
	maxSocketPath = 104 - 1 - 17
	// staleAfter is how old a socket must be that nobody listens on.
	staleAfter = time.Minute
	// folderPrefix begins the names of the folders of tunnels.
	folderPrefix = "daemon-proxy-ssh-"
)

// plainPath matches paths in which ssh sees nothing to expand or to split.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9_./@+-]+$`)

// Tunnel leads to a Unix socket of another machine, through one connection for
// as long as it lasts, whatever the number of connections to the socket. A
// session is not needed there, and nothing is started.
type Tunnel struct {
	target  Target
	process *Process
	folder  string
}

// tunnelScript is ssh, and what ends it when the standard input ends, which is
// when this program does. The folder goes with it. The standard output is what
// ssh has to say; it ends with ssh.
const tunnelScript = `folder=$1; shift; "$@" </dev/null 2>&1 & ssh=$!; exec >&- 2>&-; read -r _; ` +
	`kill -9 "$ssh"; wait "$ssh"; code=$?; rm -rf -- "$folder"; exit "$code"`

// OpenTunnel logs in without asking a person anything. It waits for as long as
// ssh does, until ctx ends. The error is an *Error if ssh has failed; any other
// means that there can be no tunnel from this machine.
//
// That nobody listens on remote, or that the other machine allows no tunnels,
// shows only when a connection is used: it ends, and Said has why.
func OpenTunnel(ctx context.Context, program string, t Target, remote string) (*Tunnel, error) {
	if runtime.GOOS == "windows" {
		return nil, fmt.Errorf("a Unix socket on Windows: %w", errors.ErrUnsupported)
	}
	if !plainPath.MatchString(remote) {
		return nil, fmt.Errorf("the path %s: %w", remote, errors.ErrUnsupported)
	}
	folder, err := tunnelFolder(ctx)
	if err != nil {
		return nil, err
	}
	args := []string{
		"-c", tunnelScript, "sh", folder, program, "-N", "-T", "-a", "-x", "-M", "-S", filepath.Join(folder, "c"), "-o", "ControlPersist=no",
		"-o", "ClearAllForwardings=yes", "-o", "PermitLocalCommand=no", "-o", "RemoteCommand=none",
		"-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3", "-o", "LogLevel=INFO",
	}
	p, err := Start("/bin/sh", append(append(args, unattended...), t.login()...), false, nil)
	if err != nil {
		return nil, errors.Join(&Error{Target: t, Cause: err}, os.RemoveAll(folder))
	}
	tunnel := &Tunnel{target: t, process: p, folder: folder}
	go func() { // ends with ssh; the script then ends too
		_, _ = io.Copy(&p.said, p.Stdout)
		_ = p.Stdin.Close()
	}()
	if err := tunnel.open(ctx, program, remote); err != nil {
		tunnel.Close()
		return nil, err
	}
	return tunnel, nil
}

// tunnelFolder makes a folder that only this user can enter.
func tunnelFolder(ctx context.Context) (string, error) {
	for _, parent := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if !plainPath.MatchString(parent) {
			continue
		}
		folder, err := os.MkdirTemp(parent, folderPrefix) // of mode 0700
		if err != nil {
			continue
		}
		if len(filepath.Join(folder, "c")) <= maxSocketPath {
			removeStale(ctx, parent)
			return folder, nil
		}
		_ = os.Remove(folder) // empty
	}
	return "", fmt.Errorf("no folder for a Unix socket: %w", errors.ErrUnsupported)
}

// removeStale removes the folders of tunnels that were killed with this program
// and the script above.
func removeStale(ctx context.Context, parent string) {
	dialer := net.Dialer{Timeout: time.Second}
	folders, _ := filepath.Glob(filepath.Join(parent, folderPrefix+"*")) // the pattern is well-formed
	for _, folder := range folders {
		info, err := os.Stat(filepath.Join(folder, "s"))
		if err != nil || time.Since(info.ModTime()) < staleAfter {
			continue
		}
		conn, err := dialer.DialContext(ctx, "unix", filepath.Join(folder, "s"))
		if err == nil {
			_ = conn.Close()
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.RemoveAll(folder) // another user's stays
		}
	}
}

// open waits until ssh is logged in, and asks it for the socket. The socket is not
// among ssh's own arguments because those would also open all forwardings of the
// user's configuration, whose ports the user's other sessions need.
func (t *Tunnel) open(ctx context.Context, program, remote string) error {
	control := filepath.Join(t.folder, "c")
	ticker := time.NewTicker(lookForSocket)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(control); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the tunnel to %s: %w", t.target, err)
		}
		select {
		case <-ticker.C:
		case <-t.process.Done():
			return t.Err()
		case <-ctx.Done():
			return &Error{Target: t.target, Cause: ctx.Err(), Said: t.process.Said()}
		}
	}
	args := []string{"-F", "none", "-S", control, "-O", "forward", "-L", filepath.Join(t.folder, "s") + ":" + remote, "--", "tunnel"}
	ask := exec.CommandContext(ctx, program, args...) //nolint:gosec // both paths are plain
	if out, err := ask.CombinedOutput(); err != nil {
		if ended := t.Err(); ended != nil {
			return ended
		}
		return fmt.Errorf("the tunnel to %s: %w: %s", t.target, err, bytes.TrimSpace(out))
	}
	return nil
}

// Dial opens a connection to the socket. If ssh ends or has ended, the error says why.
func (t *Tunnel) Dial(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", filepath.Join(t.folder, "s"))
	if err == nil || ctx.Err() != nil {
		return conn, err
	}
	if _, ended := t.process.Result(); ended != nil { // nobody else listens there
		return nil, t.Err()
	}
	return nil, err
}

// Err is why the tunnel has ended; nil while it has not.
func (t *Tunnel) Err() error {
	select {
	case <-t.process.Done():
	default:
		return nil
	}
	_, err := t.process.Result()
	if err == nil {
		err = net.ErrClosed
	}
	return &Error{Target: t.target, Cause: err, Said: t.Said()}
}

// Said is the end of what ssh has written to its standard error, in one line.
func (t *Tunnel) Said() string { return t.process.Said() }

// Close ends the tunnel with all connections through it, and waits for the end of ssh.
func (t *Tunnel) Close() {
	_ = t.process.Stdin.Close() // twice if ssh has ended before
	t.process.End()
	_ = t.process.Stdout.Close() // read to its end
	_ = os.RemoveAll(t.folder)   // the script has removed it, unless it was killed
}
