package inside

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/version"
)

// largest is how large the program may be, in bytes.
const largest = 6_500_000

// The programs are built as `make build` does.
func TestP40TheProgramForContainersIsSmall(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	pack := exec.CommandContext(t.Context(), "go", "run", "./deploy/toolbox", "-out", out)
	pack.Dir = "../.."
	text, err := pack.CombinedOutput()
	require.NoError(t, err, string(text))
	for platform, machine := range map[string]elf.Machine{
		"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64, "linux/arm": elf.EM_ARM,
	} {
		raw, err := os.ReadFile(filepath.Join(out, FileName(platform)))
		require.NoError(t, err)
		p, err := read(platform, raw)
		require.NoError(t, err)
		opened, err := p.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(opened)
		require.NoError(t, err)
		require.NoError(t, opened.Close())
		t.Logf("%s: %d bytes, packed %d", platform, len(content), len(raw))
		require.LessOrEqual(t, len(content), largest, platform)
		require.EqualValues(t, len(content), p.Size)
		sum, err := version.Sum(bytes.NewReader(content))
		require.NoError(t, err)
		require.Equal(t, sum, p.Build)
		program, err := elf.NewFile(bytes.NewReader(content))
		require.NoError(t, err)
		require.Equal(t, machine, program.Machine)
		for _, part := range program.Progs {
			require.NotEqual(t, elf.PT_INTERP, part.Type, "it is static")
		}
	}
}

func TestEachContainerGetsTheProgramThatFitsIt(t *testing.T) {
	t.Parallel()
	for platform, want := range map[string]string{
		"linux/amd64": "linux-amd64.gz", "linux/arm64": "linux-arm64.gz", "linux/arm64/v8": "linux-arm64.gz",
		"linux/arm": "linux-arm.gz", "linux/arm/v7": "linux-arm.gz", "linux/arm/v8": "linux-arm.gz",
		"linux/arm/v6": "", "linux/arm/v5": "", "linux": "", "": "", "linux/../amd64": "",
	} {
		file, _ := fileFor(platform)
		require.Equal(t, want, file, platform)
	}
	_, err := read("linux/amd64", []byte("no"))
	require.Error(t, err)
	var empty bytes.Buffer
	require.NoError(t, gzip.NewWriter(&empty).Close())
	_, err = read("linux/amd64", empty.Bytes())
	require.ErrorContains(t, err, "build")
}
