package enginetest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"
)

// File is one entry of an image. Exactly one of Path, Data and Link is
// its content, unless Mode has fs.ModeDir.
type File struct {
	Path string // of a file on this machine
	Data []byte
	Link string      // target of a symbolic link
	Mode fs.FileMode // 0 means 0755
}

// Import makes an image from files (absolute path → content) and returns its
// name. Changes are lines of a Dockerfile: `CMD ["/app"]`.
func Import(t testing.TB, files map[string]File, changes []string) string {
	t.Helper()
	cli := dockerClient(t)
	ctx, cancel := call(t)
	defer cancel()

	reader, writer := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(writer, files)
		packed <- errors.Join(err, writer.CloseWithError(err))
	}()
	name := Name(t)
	body, err := cli.ImageImport(ctx, image.ImportSource{Source: reader, SourceName: "-"}, name, image.ImportOptions{
		Changes: append([]string{"LABEL " + Label + "=1"}, changes...),
	})
	_ = reader.Close() // ends pack if the engine did not read everything
	require.NoError(t, errors.Join(err, <-packed), "import %s", name)
	removeAtEnd(t, cli, name)
	answer, err := io.ReadAll(body)
	require.NoError(t, errors.Join(err, body.Close()))
	require.NotContains(t, string(answer), `"error"`, "import %s", name)
	return name
}

// Foreign makes an image from files for another architecture and returns its
// name. It loads the image, as engines before 23 import for their own only.
func Foreign(t testing.TB, files map[string]File, architecture string) string {
	t.Helper()
	cli := dockerClient(t)
	ctx, cancel := call(t)
	defer cancel()
	name := Name(t)
	var layer, archive bytes.Buffer
	require.NoError(t, pack(&layer, files))
	config, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": architecture,
		"config": map[string]any{"Cmd": []string{"/bin/sh"}, "Labels": map[string]string{Label: "1"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer.Bytes()))}},
	})
	require.NoError(t, err)
	require.NoError(t, pack(&archive, map[string]File{
		"manifest.json": {Data: fmt.Appendf(nil, `[{"Config":"config.json","RepoTags":[%q],"Layers":["layer.tar"]}]`, name+":latest"), Mode: 0o644},
		"config.json":   {Data: config, Mode: 0o644},
		"layer.tar":     {Data: layer.Bytes(), Mode: 0o644},
	}))
	answer, err := cli.ImageLoad(ctx, &archive)
	require.NoError(t, err, "load %s", name)
	removeAtEnd(t, cli, name)
	reply, err := io.ReadAll(answer.Body)
	require.NoError(t, errors.Join(err, answer.Body.Close()))
	require.NotContains(t, string(reply), `"error"`, "load %s", name)
	return name
}

// Tag gives an image another name until the test ends. The name must not be in
// use.
func Tag(t testing.TB, imageName, name string) {
	t.Helper()
	cli := dockerClient(t)
	ctx, cancel := call(t)
	defer cancel()
	_, err := cli.ImageInspect(ctx, name)
	require.True(t, errdefs.IsNotFound(err), "image %s is there: %v", name, err)
	require.NoError(t, cli.ImageTag(ctx, imageName, name), "tag %s", name)
	removeAtEnd(t, cli, name)
}

func removeAtEnd(t testing.TB, cli *client.Client, name string) {
	t.Cleanup(func() {
		ctx, cancel := call(t)
		defer cancel()
		_, err := cli.ImageRemove(ctx, name, image.RemoveOptions{Force: true})
		require.NoError(t, ignoreMissing(err), "remove image %s", name)
	})
}

// RemoveImage removes an image at once, even if a container uses it.
func RemoveImage(t testing.TB, name string) {
	t.Helper()
	cli := dockerClient(t)
	ctx, cancel := call(t)
	defer cancel()
	_, err := cli.ImageRemove(ctx, name, image.RemoveOptions{Force: true})
	require.NoError(t, err, "remove image %s", name)
}

// pack writes files as a tar.
func pack(w io.Writer, files map[string]File) error {
	paths := make([]string, 0, len(files))
	for path := range files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	archive := tar.NewWriter(w)
	for _, path := range paths {
		if err := packOne(archive, strings.TrimPrefix(path, "/"), files[path]); err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
	}
	return archive.Close()
}

func packOne(archive *tar.Writer, name string, f File) error {
	mode := f.Mode
	if mode == 0 {
		mode = 0o755
	}
	head := &tar.Header{Name: name, Mode: int64(mode.Perm()), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if mode&fs.ModeSticky != 0 {
		head.Mode |= 0o1000
	}
	var content io.Reader = bytes.NewReader(f.Data)
	head.Size = int64(len(f.Data))
	switch {
	case mode.IsDir():
		head.Typeflag, head.Name = tar.TypeDir, name+"/"
	case f.Link != "":
		head.Typeflag, head.Linkname = tar.TypeSymlink, f.Link
	case f.Path != "":
		file, err := os.Open(f.Path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // only read
		info, err := file.Stat()
		if err != nil {
			return err
		}
		content, head.Size = file, info.Size()
	}
	if err := archive.WriteHeader(head); err != nil {
		return err
	}
	_, err := io.Copy(archive, content)
	return err
}

// busybox is its path in Debian's package busybox-static.
const busybox = "/bin/busybox"

// Busybox returns an image with a shell and the usual small programs in /bin,
// /tmp, /etc/passwd and a user "somebody" (1000). Its command sleeps until
// SIGTERM. Without a static busybox on this machine the test is skipped, or
// fails with CI=true.
func Busybox(t testing.TB) string {
	t.Helper()
	const command = `CMD ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]`
	return Import(t, BusyboxFiles(t), []string{command, "ENV PATH=/bin"})
}

// BusyboxFiles returns the files of the image Busybox, for images that add to it.
func BusyboxFiles(t testing.TB) map[string]File {
	t.Helper()
	list, err := exec.CommandContext(t.Context(), busybox, "--list").Output()
	if err != nil {
		unavailable(t, fmt.Sprintf("a static busybox is needed (Debian: busybox-static): %v", err))
	}
	const passwd = "root:x:0:0:root:/root:/bin/sh\nsomebody:x:1000:1000::/home/somebody:/bin/sh\n"
	files := map[string]File{
		"/bin/busybox": {Path: busybox},
		"/tmp":         {Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		"/etc/passwd":  {Data: []byte(passwd), Mode: 0o644},
		"/etc/group":   {Data: []byte("root:x:0:\nsomebody:x:1000:\n"), Mode: 0o644},
	}
	for applet := range strings.FieldsSeq(string(list)) {
		if applet != "busybox" {
			files["/bin/"+applet] = File{Link: "/bin/busybox"}
		}
	}
	return files
}
