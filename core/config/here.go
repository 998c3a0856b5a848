package config

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// unused is why a ./config.yaml is not used, and what to do about it.
type unused struct{ why, next string }

// here reads ./config.yaml. The user did not name this file, so it may be another
// program's: it is used if it looks like ours and belongs to the user or to
// root. If it is not used but turns protection on, or might do so, that is a
// problem, because configured protection is never dropped with a warning. Any
// other file is only noted.
func (l *loader) here(name string) (data []byte, counts bool) {
	data, reason, protects := l.readHere(name)
	switch {
	case reason == nil:
		return data, true
	case protects:
		l.errs.add(Problem{Where: quotePath(name), Text: fmt.Sprintf(
			"%s, and it may protect the API, so it is not ignored; %s, name the file to use with --config, or start "+
				"in another directory",
			reason.why, reason.next)})
	default:
		l.note("%s is ignored: %s; use --config to read it anyway", quotePath(name), reason.why)
	}
	return nil, false
}

// readHere reads the file, or returns why it does not count and whether it protects.
func (l *loader) readHere(name string) (data []byte, reason *unused, protects bool) {
	file, ours, reason := openHere(name)
	if reason != nil {
		return nil, reason, true
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, unreadable(err), true
	}
	root, err := parseYAML(data)
	if len(data) > maxFileSize {
		err = errTooLarge
	}
	if err != nil {
		return nil, &unused{fmt.Sprintf("it cannot be parsed: %v", err), "correct it"}, mentionsProtection(file)
	}
	switch {
	case !ours:
		reason = &unused{"it belongs neither to you nor to root", "make it yours (chown)"}
	case !looksOurs(l.keys, root):
		reason = &unused{"it is another program's", "move the sections of daemon-proxy into a file of their own"}
	default:
		return data, nil, false
	}
	return nil, reason, protectsAPI(l.keys, root)
}

// openHere opens the file and returns whether it belongs to the user or to
// root, symbolic link included; or why it cannot be opened.
func openHere(name string) (file *os.File, ours bool, reason *unused) {
	link, err := os.Lstat(name)
	if err != nil {
		return nil, false, unreadable(err)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, false, unreadable(err)
	case info.IsDir():
		return nil, false,
			&unused{"it is a directory (Docker creates one if the file to be mounted is missing)", "put the file there"}
	case !info.Mode().IsRegular():
		return nil, false, &unused{"it is not a regular file", "put a file there"}
	}
	file, err = os.Open(name) //nolint:gosec // the name is ours
	if err != nil {
		return nil, false, unreadable(err)
	}
	if info, err = file.Stat(); err != nil {
		_ = file.Close()
		return nil, false, unreadable(err)
	}
	return file, belongsToUserOrRoot(link) && belongsToUserOrRoot(info), nil
}

func unreadable(err error) *unused {
	next := "make it readable for the user that daemon-proxy runs as"
	if errors.Is(err, fs.ErrNotExist) {
		next = "fix or remove the symbolic link"
	}
	return &unused{"it cannot be read: " + cause(err), next}
}

// protectionLine is a line that begins one of the sections whose loss would
// leave the API or a sandbox less protected.
var protectionLine = regexp.MustCompile(
	`(?:^|[\r\n])(?:\x{feff})?(?:\{[ \t]*)?["']?(?:security(?:\.\w+)?|daemon)["']?[ \t]*:`)

// mentionsProtection reports whether a file that cannot be parsed has such a
// line. It reads all of it, however large; what cannot be read counts as one.
func mentionsProtection(file io.ReadSeeker) bool {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return true
	}
	r := &errReader{Reader: file}
	return protectionLine.MatchReader(bufio.NewReader(r)) || r.err != nil
}

// errReader remembers the error that ended it.
type errReader struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (r *errReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// protectsAPI reports whether a file sets security.enabled or
// security.api_key, be they misspelt, or has a daemon section with a key of ours.
func protectsAPI(keys []key, root *yaml.Node) bool {
	return setsSecurity(keys, root) || anySection(keys, root, "daemon", func(v *yaml.Node) bool {
		return hasKeyOf(keys, "daemon", v)
	})
}

// setsSecurity reports whether a file sets a key of the security section, be
// it misspelt.
func setsSecurity(keys []key, root *yaml.Node) bool {
	return anySection(keys, root, "security", func(v *yaml.Node) bool { return hasSecurityKey(keys, v) })
}

// anySection reports whether holds is true of a mapping that has the name of
// the section, or one that was probably meant to be it. The section may come
// from a merge, or be an item of a list or "section.key" by mistake.
func anySection(keys []key, root *yaml.Node, section string, holds func(*yaml.Node) bool) bool {
	if root == nil || root.Kind != yaml.MappingNode {
		return false
	}
	content := slices.Clone(root.Content)
	for i := 0; i+1 < len(root.Content); i += 2 {
		if follow(root.Content[i]).Value == "<<" {
			for _, merged := range mappings(root.Content[i+1]) {
				content = append(content, merged.Content...)
			}
		}
	}
	for i := 0; i+1 < len(content); i += 2 {
		name, key, dotted := strings.Cut(follow(content[i]).Value, ".")
		if nearest(keys, "", strings.ToLower(name)) != section {
			continue
		}
		inner := content[i+1]
		if dotted {
			inner = &yaml.Node{Kind: yaml.MappingNode,
				Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: key}, inner}}
		}
		if slices.ContainsFunc(mappings(inner), holds) {
			return true
		}
	}
	return false
}

// mappings are v, if it is a mapping, or those in the list that it is.
func mappings(v *yaml.Node) (found []*yaml.Node) {
	v = follow(v)
	items := []*yaml.Node{v}
	if v.Kind == yaml.SequenceNode {
		items = v.Content
	}
	for _, item := range items {
		if item = follow(item); item.Kind == yaml.MappingNode {
			found = append(found, item)
		}
	}
	return found
}

// protectingXDG is the file under XDG_CONFIG_HOME if it sets a key of the
// security section or cannot be understood, else empty.
func (l *loader) protectingXDG() string {
	dir := l.xdg("XDG_CONFIG_HOME", ".config")
	if dir == "" || !exists(filepath.Join(dir, configName)) {
		return ""
	}
	name := filepath.Join(dir, configName)
	data, err := readFile(name)
	if err != nil {
		return name
	}
	root, err := parseYAML(data)
	if err != nil || setsSecurity(l.keys, root) {
		return name
	}
	return ""
}

// checkPassedOver reports that ./config.yaml, which nobody named, takes the
// place of a file that protects the API, and nothing says whether it is to be
// protected.
func (l *loader) checkPassedOver() {
	if _, decided := l.origins["security.enabled"]; l.passedOver == "" || decided {
		return
	}
	l.errs.add(Problem{Where: quotePath(l.cfg.File), Key: "security.enabled", Text: fmt.Sprintf(
		"is not set here, and %s, which may set it, is not read because of this file; set it here, or name the file "+
			"to use with --config",
		quotePath(l.passedOver))})
}

// hasSecurityKey reports whether a mapping has a key of the security section,
// or one that was probably meant to be.
func hasSecurityKey(keys []key, mapping *yaml.Node) bool {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name := follow(mapping.Content[i]).Value
		if name == "<<" || strings.HasPrefix(nearest(keys, "security", strings.ToLower(name)), "security.") {
			return true
		}
	}
	return false
}

// looksOurs tells our configuration from some other program's: it has a
// daemon section with a key of ours, whatever else; or it has sections of ours
// and none that is not ours, misspelt ones aside.
func looksOurs(keys []key, root *yaml.Node) bool {
	if root == nil || root.Kind != yaml.MappingNode {
		return false
	}
	known, foreign := 0, 0
	for i := 0; i+1 < len(root.Content); i += 2 {
		name, v := follow(root.Content[i]).Value, follow(root.Content[i+1])
		switch {
		case slices.Contains(sections(keys), name) && (v.Kind == yaml.MappingNode || isNull(v)):
			known++
			if name == "daemon" && hasKeyOf(keys, name, v) {
				return true
			}
		case nearest(keys, "", name) == "":
			foreign++
		}
	}
	return known > 0 && foreign == 0
}

// hasKeyOf reports whether a mapping has a key of the section.
func hasKeyOf(keys []key, section string, mapping *yaml.Node) bool {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if slices.Contains(names(keys, section), follow(mapping.Content[i]).Value) {
			return true
		}
	}
	return false
}
