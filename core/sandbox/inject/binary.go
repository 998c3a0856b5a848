package inject

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/inside"
	"daemon-proxy/core/version"
)

// DefaultDaytona is where a daytona binary is looked for when none is configured.
const DefaultDaytona = "/usr/local/bin/daytona"

// workDirHelp is the help text of the flag --work-dir. Only releases that have
// the flag contain it; the newest run their arguments as a command instead.
const workDirHelp = "sets the working directory"

// daemonText is the message that every version of every daemon prints at its
// start. A program that contains it is a daemon.
const daemonText = "Starting toolbox server on port"

// binary is a daemon's executable: a file on this machine, or the small program
// that this one contains.
type binary struct {
	path    string          // of the file, or the small program's name
	small   *inside.Program // nil: it is a file
	builtIn bool
	size    int64
	// platform is os/arch; interp is the loader of a dynamic one.
	platform, interp string
	workDirFlag      bool
}

// open returns the content of the executable.
func (b binary) open() (io.ReadCloser, error) {
	if b.small != nil {
		return b.small.Open()
	}
	return os.Open(b.path)
}

// build is what version.Build is of the executable.
func (b binary) build() (string, error) {
	if b.small != nil {
		return b.small.Build, nil
	}
	f, err := os.Open(b.path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return version.Sum(f)
}

// name returns the file's name in the container.
func (b binary) name() string { return daemonName(b.builtIn) }

func daemonName(builtIn bool) string {
	if builtIn {
		return "daemon-proxy"
	}
	return "daytona"
}

// installed returns the path of a daemon's binary in a container.
func (j *Job) installed(builtIn bool) string {
	return path.Join(j.Config.InstallDir, daemonName(builtIn))
}

// choose returns the binary to inject: the configured one, else the daytona at
// its default path, else the built-in daemon.
func (j *Job) choose() (binary, error) {
	if j.UsesBuiltIn() {
		return j.program()
	}
	file := j.Config.BinarySourcePath
	if file == "" {
		file = DefaultDaytona
	}
	return inspectBinary(j.Ref, file, false)
}

// UsesBuiltIn reports whether the daemon to inject is the built-in one.
func (j *Job) UsesBuiltIn() bool {
	return j.Config.InjectionMode != "direct" && j.Config.BinarySourcePath == "" && !IsFile(DefaultDaytona)
}

// program returns the built-in daemon for the container: the small program in a build
// for its platform, else this program itself.
func (j *Job) program() (binary, error) {
	if small, ok := inside.For(j.Container.Platform); ok {
		return binary{path: "daemon-proxy", small: &small, builtIn: true, size: small.Size, platform: small.Platform}, nil
	}
	return inspectBinary(j.Ref, j.Executable, true)
}

// IsFile reports whether there is a regular file of that name on this machine.
func IsFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func inspectBinary(ref api.Ref, file string, builtIn bool) (binary, error) {
	b := binary{path: file, builtIn: builtIn}
	f, err := os.Open(file) //nolint:gosec // the daemon binary that was configured, or its staged copy
	if err != nil && builtIn {
		return b, ref.Problem(api.CodeBinaryMissing,
			fmt.Sprintf("the program's own file, which is the built-in daemon, cannot be read: %v", err),
			"restart daemon-proxy: its file was moved or replaced")
	}
	if err != nil {
		return b, ref.Problem(api.CodeBinaryMissing, fmt.Sprintf("daemon.binary_source_path: %v", err),
			"correct the path (--binary-source-path, DAEMON_BINARY_SOURCE_PATH), or leave it empty to use the built-in daemon")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return b, ref.Problem(api.CodeNotExecutable, file+" is not a regular file", "name the daemon's binary")
	}
	b.size = info.Size()
	if err := b.readELF(ref, f); err != nil {
		return b, err
	}
	if !builtIn {
		if b.workDirFlag, err = holds(f, workDirHelp); err != nil {
			return b, fmt.Errorf("read %s: %w", file, err)
		}
	}
	return b, nil
}

// withPrograms is the next step if this program was built without the small one.
const withPrograms = "use a release of daemon-proxy or build it with `make build`: " +
	"those contain the built-in daemon for linux/amd64, linux/arm64 and linux/arm/v7"

var architectures = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm",
	elf.EM_PPC64: "ppc64le", elf.EM_S390: "s390x", elf.EM_RISCV: "riscv64",
}

func (b *binary) readELF(ref api.Ref, r io.ReaderAt) error {
	f, err := elf.NewFile(r)
	if err != nil {
		hint := "use a Linux build of the daemon"
		if b.builtIn { // of another system
			hint = withPrograms
		}
		return ref.Problem(api.CodeNotExecutable, fmt.Sprintf("%s is not an ELF executable: %v", b.path, err), hint)
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return ref.Problem(api.CodeNotExecutable, b.path+" is an ELF file but not an executable",
			"use a Linux build of the daemon")
	}
	arch, ok := architectures[f.Machine]
	if !ok {
		arch = f.Machine.String()
	}
	b.platform = "linux/" + arch
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		raw := make([]byte, p.Filesz)
		if _, err := p.ReadAt(raw, 0); err == nil || errors.Is(err, io.EOF) {
			b.interp = string(bytes.TrimRight(raw, "\x00"))
		}
	}
	return nil
}

// holds reports whether a file contains a text; it reads the file in pieces.
func holds(r io.ReadSeeker, text string) (bool, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	return streamHolds(r, text)
}

func streamHolds(r io.Reader, text string) (bool, error) {
	const overlap = 64 // longer than any text searched for
	buf := make([]byte, 0, 256<<10)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if bytes.Contains(buf, []byte(text)) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if len(buf) > overlap {
			buf = append(buf[:0], buf[len(buf)-overlap:]...)
		}
	}
}

// stage puts an executable copy of a daytona binary under the cache directory,
// unless one of the same content is there. The program itself needs none.
func stage(cacheDir string, b binary) (binary, error) {
	if b.builtIn {
		return b, nil
	}
	arch := b.platform[strings.IndexByte(b.platform, '/')+1:]
	staged := filepath.Join(cacheDir, "binaries", "daemon-"+arch)
	want, err := digest(b.path)
	if err != nil {
		return b, err
	}
	if have, err := digest(staged); err == nil && have == want {
		b.path = staged
		return b, os.Chmod(staged, 0o755) //nolint:gosec // an executable for everyone, as it will be in the container
	}
	if err := os.MkdirAll(filepath.Dir(staged), 0o700); err != nil {
		return b, err
	}
	removeOld(filepath.Join(filepath.Dir(staged), stagingPrefix+"*"))
	if err := copyFile(staged, b.path); err != nil {
		return b, err
	}
	b.path = staged
	return b, nil
}

// stagingPrefix begins the name of an incomplete copy.
const stagingPrefix = ".staging-"

// removeOld removes incomplete copies that are more than an hour old: their
// program was killed. A newer one may be in progress.
func removeOld(pattern string) {
	names, _ := filepath.Glob(pattern) // fails only for a bad pattern
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(name) // the next injection tries again
		}
	}
}

func digest(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path) //nolint:gosec // the daemon binary that was configured, or its staged copy
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// copyFile makes an executable copy; it replaces the old file atomically.
func copyFile(to, from string) (err error) {
	in, err := os.Open(from) //nolint:gosec // the daemon binary that was configured
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), stagingPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o755), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}

// fits checks that the binary can run in the container.
func (b binary) fits(ref api.Ref, platform string, loader func(path string) error) error {
	want := strings.Split(platform, "/")
	have := strings.Split(b.platform, "/")
	if len(want) >= 2 && (want[0] != have[0] || want[1] != have[1]) {
		hint := "name a binary for " + platform + " (daemon.binary_source_path)"
		if b.builtIn {
			hint = withPrograms + "; or " + hint
		}
		return ref.Problem(api.CodeArchMismatch,
			fmt.Sprintf("%s is built for %s, the container %s is %s", b.path, b.platform, ref, platform), hint)
	}
	if b.interp == "" {
		return nil
	}
	if err := loader(b.interp); errors.Is(err, fs.ErrNotExist) {
		return ref.Problem(api.CodeDynamicBinary,
			fmt.Sprintf("%s is dynamically linked and needs %s, which the container %s does not have", b.path, b.interp, ref),
			"use a static build, or leave binary_source_path empty to use the built-in daemon")
	} else if err != nil {
		return err
	}
	return nil
}

// HostPlatform returns the os/arch of this machine.
func HostPlatform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// KnowsWorkDir reports whether the daemon in a file of this machine has the flag
// --work-dir. The error is an *api.Problem if the file is not an executable.
func KnowsWorkDir(ref api.Ref, file string) (bool, error) {
	b, err := inspectBinary(ref, file, false)
	return b.workDirFlag, err
}
