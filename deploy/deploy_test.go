package deploy

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"daemon-proxy/core/api"
	"daemon-proxy/core/client"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/wiretest"
)

const socket = "/var/run/docker.sock"

func output(t *testing.T, within time.Duration, dir, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "DOCKER_BUILDKIT=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", program, args, out)
	return string(out)
}

// copyFile puts a file into a folder of a build's context.
func copyFile(t *testing.T, from, to string, mode fs.FileMode) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(t, os.WriteFile(to, content, mode))
}

// The image is built from the Dockerfile and, with the engine's socket, puts a
// daemon into a container and previews it.
func TestTheImageInjectsAndPreviews(t *testing.T) {
	t.Parallel()
	wiretest.Program(t, "docker")
	enginetest.Require(t)
	info, err := os.Stat(socket)
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("the engine's socket is not at " + socket)
	}
	require.NoError(t, err)

	files := enginetest.BusyboxFiles(t)
	files["/service"] = enginetest.File{Path: enginetest.StaticGo(t, "../cmd/daemon-proxy/testdata/service")}
	name := enginetest.Name(t)
	enginetest.Run(t, enginetest.Import(t, files, []string{`CMD ["/service"]`, "ENV PATH=/bin"}), enginetest.RunOptions{Name: name})

	checkout := t.TempDir()
	copyFile(t, enginetest.Made(t), filepath.Join(checkout, "bin", "daemon-proxy"), 0o755)
	copyFile(t, "Dockerfile", filepath.Join(checkout, "deploy", "Dockerfile"), 0o644)
	copyFile(t, "state/.keep", filepath.Join(checkout, "deploy", "state", ".keep"), 0o644)
	copyFile(t, "../.dockerignore", filepath.Join(checkout, ".dockerignore"), 0o644)
	image := enginetest.Name(t) + "-image"
	output(t, 2*time.Minute, checkout, "docker", "build", "-q", "-f", "deploy/Dockerfile", "-t", image, "--label", enginetest.Label+"=1", ".")
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "-f", image).Run() })

	own := name + "-front"
	port := strconv.Itoa(wiretest.FreePort(t))
	group := strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Gid))
	output(t, time.Minute, "", "docker", "run", "-d", "--name", own, "--label", enginetest.Label+"=1", "--read-only", "--cap-drop", "ALL", "-p", "127.0.0.1:"+port+":8080",
		"-v", socket+":"+socket, "--group-add", group, "-e", "DAEMON_MODE=docker", "-e", "DAEMON_CONTAINER_NAME="+name, image)
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := exec.Command("docker", "logs", own).CombinedOutput()
			t.Logf("%s", logs)
		}
		_ = exec.Command("docker", "rm", "-fv", own).Run()
	})
	c, err := client.New("http://127.0.0.1:" + port)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		status, err := c.DaemonStatus(t.Context(), api.Ref{})
		return err == nil && status.Running && status.Sandbox == name
	}, time.Minute, 50*time.Millisecond)
	link, err := c.CreateLink(t.Context(), api.LinkRequest{Port: 8080})
	require.NoError(t, err)
	response, err := http.Get(link.URL + "/")
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "service on localhost:8080", string(body))

	require.Equal(t, "65532:65532", strings.TrimSpace(output(t, time.Minute, "", "docker", "inspect", "-f", "{{.Config.User}}", own)))
	require.Eventually(t, func() bool {
		return strings.TrimSpace(output(t, time.Minute, "", "docker", "inspect", "-f", "{{.State.Health.Status}}", own)) == "healthy"
	}, time.Minute, 200*time.Millisecond)
	requireAScreenOpensInTheContainer(t, own)
	_, err = c.Status(t.Context())
	require.NoError(t, err, "the service goes on without the screen")
	// The links are in the volume, and live as long as it.
	output(t, time.Minute, "", "docker", "restart", own)
	require.Eventually(t, func() bool {
		response, err := http.Get(link.URL + "/")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, time.Minute, 100*time.Millisecond)
	requireTheMountedConfigurationProtects(t, image, own)
}

// requireAScreenOpensInTheContainer does what a person does who wants to see the
// service, and leaves it again.
func requireAScreenOpensInTheContainer(t *testing.T, name string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", "exec", "-it", name, "daemon-proxy")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 120, Rows: 40})
	require.NoError(t, err)
	defer terminal.Close()
	shown := &wiretest.Buffer{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(shown, terminal) // EIO: the program has ended
	}()
	shows := func(what string) {
		require.Eventually(t, func() bool { return strings.Contains(ansi.Strip(shown.String()), what) }, time.Minute,
			20*time.Millisecond, "the screen shows %s", what)
	}
	shows("⇄ http://localhost:8080")
	shows("Sandboxes")
	_, err = terminal.WriteString("q")
	require.NoError(t, err)
	shows("The core keeps running at http://localhost:8080.")
	<-read
	require.NoError(t, cmd.Wait())
	require.NotContains(t, ansi.Strip(shown.String()), "warning")
}

// requireTheMountedConfigurationProtects runs the image as its own user, who
// is not root, with a config.yaml of root's in its working folder.
func requireTheMountedConfigurationProtects(t *testing.T, image, name string) {
	t.Helper()
	if os.Geteuid() != 0 {
		require.NotEqual(t, "true", os.Getenv("CI"), "only root can mount a file of root's")
		t.Log("not run: only root can mount a file of root's")
		return
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	write := func(text string) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	arguments := func(name string, more ...string) []string {
		args := []string{"run", "--name", name, "--label", enginetest.Label + "=1", "--read-only", "--cap-drop", "ALL",
			"-v", file + ":/config.yaml:ro", "-e", "DAEMON_MODE=host"}
		t.Cleanup(func() { _ = exec.Command("docker", "rm", "-fv", name).Run() })
		return append(append(args, more...), image)
	}
	write("security:\n  enabled: true\n  api_key: a-key-of-our-own\n")
	port := strconv.Itoa(wiretest.FreePort(t))
	output(t, time.Minute, "", "docker", arguments(name+"-keyed", "-d", "-p", "127.0.0.1:"+port+":8080")...)
	answer := func(key string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/api/sandboxes", http.NoBody)
		require.NoError(t, err)
		if key != "" {
			request.Header.Set("X-API-Key", key)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	require.Eventually(t, func() bool { return answer("a-key-of-our-own") == http.StatusOK }, time.Minute, 50*time.Millisecond)
	require.Equal(t, http.StatusUnauthorized, answer(""))

	write("security:\n  enabled: true\n  api_key: \"a-key\n")
	out, err := exec.CommandContext(t.Context(), "docker", arguments(name+"-broken")...).CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	require.Equal(t, 2, exit.ExitCode(), string(out))
	require.Contains(t, string(out), "/config.yaml: it cannot be parsed")
}

func TestTheComposeFileNamesNothingThatIsNotThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("compose.yaml")
	require.NoError(t, err)
	var file struct {
		Services map[string]struct {
			Image, NetworkMode string
			ReadOnly           bool `yaml:"read_only"`
			Environment        map[string]string
			Volumes            []string
		}
		Volumes map[string]any
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	service := file.Services["daemon-proxy"]
	require.Equal(t, "daemon-proxy", service.Image)
	require.Equal(t, "127.0.0.1", service.Environment["DAEMON_PROXY_HOST"], "the host's network and no key: loopback only")
	require.True(t, service.ReadOnly)
	require.Contains(t, service.Volumes, socket+":"+socket)
	require.Contains(t, file.Volumes, "state")
}

// exposure is what systemd-analyze security says of the service, 0 to 10; the
// manual states it.
const exposure = 1.1

func TestTheServiceIsHardened(t *testing.T) {
	t.Parallel()
	wiretest.Program(t, "systemd-analyze")
	out := output(t, time.Minute, "", "systemd-analyze", "security", "--offline=true", "--no-pager", "daemon-proxy.service")
	m := regexp.MustCompile(`exposure level for daemon-proxy\.service: ([0-9.]+)`).FindStringSubmatch(out)
	require.NotNil(t, m, out)
	score, err := strconv.ParseFloat(m[1], 64)
	require.NoError(t, err)
	require.LessOrEqual(t, score, exposure+0.3, "another systemd may count a little differently")
	for _, page := range []string{"../docs/deployment.md", "daemon-proxy.service"} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		require.Contains(t, string(text), strconv.FormatFloat(exposure, 'f', 1, 64)+" of 10", page)
	}
}

// systemd understands each line of both units.
func TestTheServicesAreValid(t *testing.T) {
	t.Parallel()
	wiretest.Program(t, "systemd-analyze")
	program := enginetest.StaticGo(t, "daemon-proxy/cmd/daemon-proxy")
	for unit, arguments := range map[string][]string{
		"daemon-proxy.service": {"verify", "--man=no"}, "daemon-proxy-user.service": {"--user", "verify", "--man=no"},
	} {
		text, err := os.ReadFile(unit)
		require.NoError(t, err)
		require.Contains(t, string(text), "ExecStart=/usr/local/bin/daemon-proxy --no-tui\n")
		folder := t.TempDir()
		installed := filepath.Join(folder, "daemon-proxy.service")
		require.NoError(t, os.WriteFile(installed,
			[]byte(strings.Replace(string(text), "/usr/local/bin/daemon-proxy", program, 1)), 0o600))
		cmd := exec.CommandContext(t.Context(), "systemd-analyze", append(arguments, installed)...)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+folder)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Empty(t, string(out), unit)
	}
}

// What the unit names is there once the steps at its head, and those of the
// manual, were followed.
func TestTheServicesStepsInstallWhatItNames(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("daemon-proxy.service")
	require.NoError(t, err)
	manual, err := os.ReadFile("../docs/deployment.md")
	require.NoError(t, err)
	named := regexp.MustCompile(`(?m)^Documentation=man:([\w-]+)\((\d)\)$`).FindStringSubmatch(string(unit))
	require.NotNil(t, named)
	pages := t.TempDir()
	output(t, 5*time.Minute, "..", "go", "test", "-count", "1", "./cmd/daemon-proxy", "-run", "^TestManPages$", "-man", pages) // make man
	for where, text := range map[string]string{"the unit": string(unit), "the manual": string(manual)} {
		require.Contains(t, text, "make build man", where)
		step := regexp.MustCompile(`install .*dist/man/.*`).FindString(text)
		require.NotEmpty(t, step, where)
		root := t.TempDir()
		step = strings.NewReplacer("dist/man/", pages+"/", "/usr/local/", root+"/").Replace(step)
		output(t, time.Minute, "", "sh", "-c", step)
		require.FileExists(t, filepath.Join(root, "share", "man", "man"+named[2], named[1]+"."+named[2]), where)
	}
}

func sums(t *testing.T, folder string) map[string][32]byte {
	t.Helper()
	all := map[string][32]byte{}
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(folder, file.Name()))
		require.NoError(t, err)
		all[file.Name()] = sha256.Sum256(content)
	}
	return all
}

// Two builds of the same source are the same bytes, also in another folder.
func TestAReleaseIsReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program for three platforms, twice")
	}
	t.Parallel()
	first, second := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	for _, folder := range []string{first, second} {
		output(t, 10*time.Minute, "..", "go", "run", "./deploy/release", "-out", folder, "-only", "linux/amd64,windows/amd64")
	}
	require.Equal(t, sums(t, first), sums(t, second))

	var names []string
	for name := range sums(t, first) {
		names = append(names, name)
	}
	require.Len(t, names, 4, "two archives, the list of modules, the checksums")
	slices.Sort(names)
	if _, err := exec.LookPath("sha256sum"); err == nil {
		output(t, time.Minute, first, "sha256sum", "-c", "--quiet", "SHA256SUMS")
	}
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, ".tar.gz"):
			list := output(t, time.Minute, first, "tar", "-tzf", name)
			for _, want := range []string{"/daemon-proxy\n", "/completions/daemon-proxy.bash\n", "/completions/_daemon-proxy\n",
				"/completions/daemon-proxy.fish\n", "/man/daemon-proxy.1\n", "/LICENSE\n", "/config.example.yaml\n", "/docs/config.schema.json\n"} {
				require.Contains(t, list, want)
			}
			if runtime.GOARCH == "amd64" {
				output(t, time.Minute, first, "tar", "-xzf", name)
				require.NotEmpty(t, output(t, time.Minute, filepath.Join(first, strings.TrimSuffix(name, ".tar.gz")), "./daemon-proxy", "version"))
			}
		case strings.HasSuffix(name, ".zip"):
			archive, err := zip.OpenReader(filepath.Join(first, name))
			require.NoError(t, err)
			defer archive.Close()
			magic := map[string]string{"daemon-proxy.exe": "MZ", "LICENSE": ""}
			for file, begins := range magic {
				f, err := archive.Open(strings.TrimSuffix(name, ".zip") + "/" + file)
				require.NoError(t, err)
				head := make([]byte, len(begins))
				_, err = io.ReadFull(f, head)
				require.NoError(t, err)
				require.Equal(t, begins, string(head), file)
			}
		case strings.HasSuffix(name, ".cdx.json"):
			content, err := os.ReadFile(filepath.Join(first, name))
			require.NoError(t, err)
			var bill struct {
				Components []struct{ Name, Version string }
			}
			require.NoError(t, json.Unmarshal(content, &bill))
			require.Greater(t, len(bill.Components), 10)
			listed := fmt.Sprint(bill.Components)
			for _, want := range []string{"{std ", "spf13/cobra ", "inconshreveable/mousetrap "} { // the last is in the Windows build alone
				require.Contains(t, listed, want)
			}
		}
	}
}
