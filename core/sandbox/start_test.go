package sandbox

import (
	"debug/elf"
	littleendian "encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/inject"
)

func TestEachGenerationOfTheDaemonStartsInItsDirectoryAndLeavesNoJunk(t *testing.T) {
	t.Parallel()
	for generation, version := range map[string]string{"gen102": "v0.102.0", "gen115": "v0.115.0", "": "v0.190.0"} {
		for label, workDir := range map[string]string{"configured": "/made/anew", "container's": "/srv", "none": ""} {
			t.Run(version+" "+label, func(t *testing.T) {
				t.Parallel()
				options, want := enginetest.RunOptions{}, "/workspace"
				if label == "container's" {
					options.WorkDir, want = workDir, workDir
				}
				name, id := shellBox(t, options)
				d := daytona(t, name, generation, nil, func(o *Options) {
					if label == "configured" {
						o.Config.WorkDir, want = workDir, workDir
					}
				})
				box := d.inject(name)
				require.Equal(t, version, box.Daemon.Version)
				require.Equal(t, daemon.KindDaytona, box.Daemon.Kind)
				require.JSONEq(t, `{"dir":"`+want+`"}`, d.asks(name, "/work-dir"))
				require.Equal(t, "none", sh(t, id, "ls -d /root/.daytona/sessions/* /.daytona/sessions/* 2>/dev/null || echo none"))
				require.Contains(t, content(t, id, inject.LogName), "Starting toolbox server")
			})
		}
	}
}

func TestADaytonaStartsWhereThereIsNoShell(t *testing.T) {
	t.Parallel()
	name, _ := bareBox(t, enginetest.RunOptions{}, nil)
	d := daytona(t, name, "", nil)
	d.inject(name)
	// Without a shell it cannot be stopped, and that is said.
	err := d.StopDaemon(t.Context(), d.ref(name))
	require.ErrorContains(t, err, "shell")
	require.Equal(t, api.DaemonHealthy, d.get(name).Daemon.State)
}

func TestDirectModeRunsTheContainersOwnDaemon(t *testing.T) {
	t.Parallel()
	file := enginetest.File{Path: enginetest.StaticGo(t, "./testdata/daytona", "gen115")}
	direct := func(o *Options) { o.Config.InjectionMode, o.Config.BinarySourcePath = "direct", "" }
	for label, files := range map[string]map[string]enginetest.File{
		"a file": {"/usr/local/bin/daytona": file},
		"a link": {"/usr/local/bin/daytona": {Link: "../../../opt/daytona"}, "/opt/daytona": file},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name, _ := bareBox(t, enginetest.RunOptions{}, files)
			d := builtIn(t, name, direct)
			require.Equal(t, "v0.115.0", d.inject(name).Daemon.Version)
			require.Empty(t, d.told(func(e api.Event) bool { return e.Injection != nil && e.Injection.Bytes > 0 }))
		})
	}
	t.Run("none there", func(t *testing.T) {
		t.Parallel()
		name, _ := bareBox(t, enginetest.RunOptions{}, nil)
		builtIn(t, name, direct).fails(name, api.CodeBinaryMissing)
	})
	t.Run("not executable", func(t *testing.T) {
		t.Parallel()
		name, _ := bareBox(t, enginetest.RunOptions{}, map[string]enginetest.File{"/usr/local/bin/daytona": {Path: file.Path, Mode: 0o644}})
		builtIn(t, name, direct).fails(name, api.CodeNotExecutable)
	})
}

func TestADaemonThatEndsAtOnceIsNamedWithItsLastWordsAndCode(t *testing.T) {
	t.Parallel()
	for _, shell := range []bool{true, false} {
		t.Run(map[bool]string{true: "shell", false: "no shell"}[shell], func(t *testing.T) {
			t.Parallel()
			name, _ := bareBoxOrShell(t, shell)
			d := daytona(t, name, "", map[string]string{"FAKE_EXIT": "the moon is in the wrong house"})
			began := time.Now()
			p := d.fails(name, api.CodeDaemonExited)
			require.Contains(t, p.Detail, "the moon is in the wrong house")
			require.Contains(t, p.Detail, "exit code 7")
			require.Less(t, time.Since(began), d.o.Config.StartupTimeout, "it waited for the whole timeout")
			require.Equal(t, api.DaemonFailed, d.get(name).Daemon.State)
		})
	}
}

func TestADaemonThatNeverListensIsEndedAndNamed(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := daytona(t, name, "", map[string]string{"FAKE_DEAF": "1"}, func(o *Options) { o.Config.StartupTimeout = time.Second })
	p := d.fails(name, api.CodeStartTimeout)
	require.Contains(t, p.Detail, "Starting toolbox server", "its last words")
	require.Contains(t, p.Hint, "startup_timeout")
	require.Empty(t, processes(t, id, "daytona"))
}

func TestPollingFindsTheDaemonSoonAfterItListens(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{})
	d := daytona(t, name, "", map[string]string{"FAKE_STAMP": "1", "FAKE_DELAY": "300ms"})
	find := func() time.Duration {
		var found time.Time
		require.NoError(t, d.Inject(t.Context(), d.ref(name), func(e api.Injection) {
			if e.Step == api.StepWait && e.State == "done" && found.IsZero() {
				found = time.Now()
			}
		}))
		stamp, err := strconv.ParseInt(d.get(name).Daemon.Version, 10, 64)
		require.NoError(t, err)
		return found.Sub(time.Unix(0, stamp))
	}
	took := find()
	for range 4 { // what a busy machine adds is not the same each time
		if took < 500*time.Millisecond {
			break
		}
		require.NoError(t, d.StopDaemon(t.Context(), d.ref(name)))
		took = min(took, find())
	}
	t.Logf("found %v after it listened", took)
	require.Less(t, took, 500*time.Millisecond)
}

func TestABinaryThatDoesNotFitIsNamedBeforeAByteIsCopied(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile(enginetest.StaticGoSource(t, sleeper))
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, content, 0o755))
		return file
	}
	foreign := append([]byte(nil), good...)
	littleendian.LittleEndian.PutUint16(foreign[18:], uint16(elf.EM_S390))
	library := append([]byte(nil), good...)
	littleendian.LittleEndian.PutUint16(library[16:], uint16(elf.ET_CORE))

	for label, c := range map[string]struct {
		file, code string
		says       []string
	}{
		"wrong architecture": {write("s390x", foreign), api.CodeArchMismatch, []string{"linux/s390x", "linux/" + goarch()}},
		"not an ELF":         {write("script", []byte("#!/bin/sh\nexit 0\n")), api.CodeNotExecutable, []string{"not an ELF"}},
		"empty":              {write("empty", nil), api.CodeNotExecutable, []string{"not an ELF"}},
		"no program":         {write("core", library), api.CodeNotExecutable, []string{"not an executable"}},
		"a folder":           {dir, api.CodeNotExecutable, []string{"not a regular file"}},
		"missing":            {filepath.Join(dir, "nowhere"), api.CodeBinaryMissing, []string{"binary_source_path", "nowhere"}},
		"dynamic":            {dynamic(t), api.CodeDynamicBinary, []string{"ld-"}},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name, id := shellBox(t, enginetest.RunOptions{})
			d := daytona(t, name, "", nil, func(o *Options) { o.Config.BinarySourcePath = c.file })
			p := d.fails(name, c.code)
			for _, text := range c.says {
				require.Contains(t, p.Detail, text)
			}
			_, err := enginetest.Require(t).Stat(t.Context(), id, "/usr/local/bin")
			require.Error(t, err, "something was copied")
			require.NoDirExists(t, filepath.Join(d.o.CacheDir, "binaries"), "it was staged")
		})
	}
}

func goarch() string { return inject.HostPlatform()[len("linux/"):] }

// dynamic is a dynamically linked program: a compiler's, or a static one with
// a header that asks for a loader.
func dynamic(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "dynamic")
	if gcc, err := exec.LookPath("gcc"); err == nil {
		source := filepath.Join(dir, "main.c")
		require.NoError(t, os.WriteFile(source, []byte("int main(void) { return 0; }\n"), 0o600))
		out, err := exec.CommandContext(t.Context(), gcc, "-o", file, source).CombinedOutput()
		require.NoError(t, err, string(out))
		return file
	}
	raw, err := os.ReadFile(enginetest.StaticGoSource(t, sleeper))
	require.NoError(t, err)
	// The last program header becomes PT_INTERP and points at a name put behind the end.
	const loader = "/lib/ld-nowhere.so.1\x00"
	headers, size := littleendian.LittleEndian.Uint64(raw[32:]), uint64(littleendian.LittleEndian.Uint16(raw[54:]))
	last := raw[headers+size*uint64(littleendian.LittleEndian.Uint16(raw[56:])-1):]
	littleendian.LittleEndian.PutUint32(last, uint32(elf.PT_INTERP))
	littleendian.LittleEndian.PutUint64(last[8:], uint64(len(raw)))
	littleendian.LittleEndian.PutUint64(last[32:], uint64(len(loader)))
	require.NoError(t, os.WriteFile(file, append(raw, loader...), 0o755))
	return file
}

func TestADynamicBinaryWhoseLoaderIsThereIsTaken(t *testing.T) {
	t.Parallel()
	name, _ := bareBox(t, enginetest.RunOptions{}, map[string]enginetest.File{
		"/lib64/ld-linux-x86-64.so.2": {Data: []byte("loader")}, "/lib/ld-linux-aarch64.so.1": {Data: []byte("loader")}, "/lib/ld-nowhere.so.1": {Data: []byte("loader")},
	})
	d := daytona(t, name, "", nil, func(o *Options) { o.Config.BinarySourcePath = dynamic(t) })
	d.fails(name, api.CodeDaemonExited) // it came as far as its start
}
