package certs

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// childDirEnv makes the test binary a program that says "ready", opens the
// authority in that folder once its standard input ends, and prints its serial number.
const childDirEnv = "CERTS_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDirEnv); dir != "" {
		openWhenTold(dir)
	}
	os.Exit(m.Run())
}

func openWhenTold(dir string) {
	fmt.Println("ready")
	_, _ = io.ReadAll(os.Stdin)
	a, err := OpenAuthority(dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(hex.EncodeToString(a.cert.SerialNumber.Bytes()))
	os.Exit(0)
}

// Of programs that start at once on a new state directory each starts, all
// have the same authority, and it is there to stay.
func TestS31ProgramsThatStartAtOnceHaveOneAuthority(t *testing.T) {
	t.Parallel()
	const rounds, programs = 10, 3
	for range rounds {
		dir := t.TempDir()
		start, begin, err := os.Pipe()
		require.NoError(t, err)
		var answers []*bufio.Scanner
		var all []*exec.Cmd
		for range programs {
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env, child.Stdin = append(os.Environ(), childDirEnv+"="+dir), start
			out, err := child.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, child.Start())
			all, answers = append(all, child), append(answers, bufio.NewScanner(out))
		}
		for _, answer := range answers {
			require.True(t, answer.Scan())
			require.Equal(t, "ready", answer.Text())
		}
		require.NoError(t, begin.Close())
		require.NoError(t, start.Close())
		a := ""
		for i, answer := range answers {
			require.True(t, answer.Scan())
			if i == 0 {
				a = answer.Text()
			}
			require.Equal(t, a, answer.Text())
			require.Regexp(t, "^[0-9a-f]+$", a)
			require.NoError(t, all[i].Wait())
		}
		kept, err := OpenAuthority(dir)
		require.NoError(t, err)
		require.Equal(t, a, hex.EncodeToString(kept.cert.SerialNumber.Bytes()))
	}
}

// A program that was killed between the two files leaves no ruin: the next one
// makes the certificate of the key that is there.
func TestS31AKeyWithoutItsCertificateIsUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := OpenAuthority(dir)
	require.NoError(t, err)
	key := filepath.Join(dir, "tls-authority.key")
	before, err := os.ReadFile(key)
	require.NoError(t, err)
	require.NoError(t, os.Remove(AuthorityFile(dir)))
	a, err := OpenAuthority(dir)
	require.NoError(t, err)
	after, err := os.ReadFile(key)
	require.NoError(t, err)
	require.Equal(t, before, after)
	shake(t, dir, "localhost", "", a.Get)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing else is left")

	require.NoError(t, os.Remove(AuthorityFile(dir)))
	require.NoError(t, os.WriteFile(key, []byte("half a k"), 0o600))
	_, err = OpenAuthority(dir)
	require.ErrorContains(t, err, key)
	require.ErrorContains(t, err, "remove the file")
}
