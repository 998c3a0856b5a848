package preview

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// childFileEnv makes the test binary a program that creates links in the file
// that it names.
const childFileEnv = "PREVIEW_TEST_CHILD_FILE"

// createForEver creates links, revokes every third, and says so, until killed.
func createForEver(file string) {
	links, err := Open(context.Background(), Options{StateFile: file, MaxLinks: 1 << 20})
	for i := 0; err == nil; i++ {
		var link api.Link
		if link, err = links.Create(Request{Sandbox: box, Port: 3000, Label: strings.Repeat("x", i%500)}); err == nil {
			fmt.Println("created", link.Token)
			if i%3 == 0 {
				if _, err = links.Revoke(link.Token); err == nil {
					fmt.Println("revoked", link.Token)
				}
			}
		}
	}
	fmt.Println("failed", err)
	os.Exit(1)
}

func TestB6SIGKILLLosesNoLink(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "links.db")
	told := map[string]string{} // token → state
	for round := range 6 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childFileEnv+"="+file)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines := bufio.NewScanner(out)
		killed := time.AfterFunc(time.Minute, func() { _ = child.Process.Kill() }) // were it to hang
		for seen := 0; lines.Scan(); seen++ {
			what, token, _ := strings.Cut(lines.Text(), " ")
			require.Contains(t, []string{"created", "revoked"}, what, lines.Text())
			told[token] = what
			if seen == 5+round*7 {
				require.NoError(t, child.Process.Kill()) // what it still says counts too
			}
		}
		require.Error(t, child.Wait())
		killed.Stop()

		links := openAt(t, file, nil)
		for token, what := range told {
			got, ok := links.Get(token)
			require.True(t, ok, "a link that was handed out is lost")
			if what == "revoked" {
				require.Equal(t, stateRevoked, got.State)
			}
		}
		require.NoError(t, links.Close())
		set, err := filepath.Glob(file + ".*")
		require.NoError(t, err)
		require.Empty(t, set, "a kill is no damage")
	}
	require.NotEmpty(t, told)
}
