// Command release makes the archives of a release in a folder: for each
// platform the program, which contains the small one for containers, completions,
// man pages, licence and example configuration; a list of all modules (CycloneDX)
// and checksums. The same source and Go version give the same bytes.
package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// platforms are what is released.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"}

func main() {
	log.SetFlags(0)
	out := flag.String("out", "dist", "folder for the archives; what is in it goes")
	only := flag.String("only", strings.Join(platforms, ","), "platforms, separated by commas")
	flag.Parse()
	if err := release(context.Background(), *out, strings.Split(*only, ",")); err != nil {
		log.Fatal("release: ", err)
	}
}

// release makes everything. It is run at the root of the checkout.
func release(ctx context.Context, out string, wanted []string) (err error) {
	work, err := os.MkdirTemp("", "daemon-proxy-release-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := errors.Join(os.RemoveAll(out), os.MkdirAll(out, 0o755)); err != nil { //nolint:gosec // for everybody
		return err
	}
	when, err := sourceTime(ctx)
	if err != nil {
		return err
	}
	if err := run(exec.CommandContext(ctx, "go", "run", "./deploy/toolbox")); err != nil {
		return err
	}
	builds := map[string]string{}
	for _, platform := range wanted {
		if builds[platform], err = build(ctx, work, platform); err != nil {
			return err
		}
	}
	common, err := documents(ctx, work, when)
	if err != nil {
		return err
	}
	var infos []*debug.BuildInfo // platforms differ in some modules
	for _, platform := range slices.Sorted(maps.Keys(builds)) {
		info, err := buildinfo.ReadFile(builds[platform])
		if err != nil {
			return err
		}
		infos = append(infos, info)
	}
	version := infos[0].Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	for _, platform := range wanted {
		name := "daemon-proxy_" + version + "_" + strings.ReplaceAll(platform, "/", "_")
		if err := archive(filepath.Join(out, name), platform, append(common[:len(common):len(common)], program(platform, builds)), when); err != nil {
			return err
		}
	}
	sbom, err := bill(infos, version, when)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "daemon-proxy_"+version+".cdx.json"), sbom, 0o644); err != nil { //nolint:gosec // for everybody
		return err
	}
	return checksums(out)
}

// entry is a file of an archive.
type entry struct {
	name, path string
	mode       os.FileMode
}

// program is the build that an archive carries.
func program(platform string, builds map[string]string) entry {
	name := "daemon-proxy"
	if strings.HasPrefix(platform, "windows/") {
		name += ".exe"
	}
	return entry{name, builds[platform], 0o755}
}

func build(ctx context.Context, work, platform string) (string, error) {
	goos, goarch, _ := strings.Cut(platform, "/")
	path := filepath.Join(work, "daemon-proxy-"+goos+"-"+goarch)
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "embedded", "-trimpath", "-buildvcs=auto", //nolint:gosec // our own
		"-ldflags", "-s -w -buildid=", "-o", path, "./cmd/daemon-proxy")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	return path, run(cmd)
}

// documents are what all archives have besides the programs.
func documents(ctx context.Context, work string, when time.Time) ([]entry, error) {
	man := filepath.Join(work, "man")
	write := exec.CommandContext(ctx, "go", "test", "-count=1", "./cmd/daemon-proxy", "-run", "^TestManPages$", "-man", man) //nolint:gosec // our own
	write.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(when.Unix(), 10))                                // the pages carry a date
	if err := run(write); err != nil {
		return nil, err
	}
	entries := []entry{{"LICENSE", "LICENSE", 0o644}, {"config.example.yaml", "config.example.yaml", 0o644},
		{"docs/config.schema.json", "docs/config.schema.json", 0o644}}
	pages, err := filepath.Glob(filepath.Join(man, "*.1"))
	if err != nil {
		return nil, err
	}
	for _, page := range pages {
		entries = append(entries, entry{"man/" + filepath.Base(page), page, 0o644})
	}
	own := filepath.Join(work, "own")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", own, "./cmd/daemon-proxy") //nolint:gosec // our own
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	if err := run(cmd); err != nil {
		return nil, err
	}
	for shell, name := range map[string]string{"bash": "daemon-proxy.bash", "zsh": "_daemon-proxy", "fish": "daemon-proxy.fish"} {
		text, err := exec.CommandContext(ctx, own, "completion", shell).Output() //nolint:gosec // our own
		if err != nil {
			return nil, fmt.Errorf("completion for %s: %w", shell, err)
		}
		path := filepath.Join(work, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, err
		}
		entries = append(entries, entry{"completions/" + name, path, 0o644})
	}
	return entries, nil
}

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// sourceTime is SOURCE_DATE_EPOCH, else the time of the commit, else the epoch.
func sourceTime(ctx context.Context) (time.Time, error) {
	const first = 315532800 // 1980, the first that a zip can say
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		text = strconv.Itoa(first)
		if out, err := exec.CommandContext(ctx, "git", "log", "-1", "--format=%ct").Output(); err == nil {
			text = strings.TrimSpace(string(out))
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(max(seconds, first), 0).UTC(), err
}

// checksums writes SHA256SUMS, which sha256sum -c reads.
func checksums(out string) error {
	names, err := filepath.Glob(filepath.Join(out, "daemon-proxy_*"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		content, err := os.ReadFile(name) //nolint:gosec // made above
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(content), filepath.Base(name))
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(b.String()), 0o644) //nolint:gosec // for everybody
}
