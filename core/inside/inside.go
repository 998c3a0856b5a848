// Package inside holds the small program that runs inside containers (cmd/toolbox),
// in a build for each of their platforms, packed.
//
// The programs are made by deploy/toolbox and are there only if this program was
// built with the tag "embedded", as `make build` does. Without it, this program is
// copied into containers itself, which works on its own platform.
package inside

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Platforms are those for which there is a build, each os/arch. That for linux/arm
// is for ARMv7 and later.
func Platforms() []string { return []string{"linux/amd64", "linux/arm64", "linux/arm"} }

// Program is the small program in a build for one platform.
type Program struct {
	// Platform is one of Platforms.
	Platform string
	// Build is what version.Build is of the program.
	Build string
	// Size is that of the program, in bytes.
	Size   int64
	packed []byte
}

// Folder is where the packed programs are, from the root of the checkout.
const Folder = "core/inside/built"

// FileName returns the name in Folder of the program for one of Platforms. The file
// is in the format of gzip; its comment is the Program's Build.
func FileName(platform string) string { return strings.ReplaceAll(platform, "/", "-") + ".gz" }

// For returns the program for containers of a platform, os/arch[/variant]; false if
// this program contains none.
func For(platform string) (Program, bool) {
	file, platform := fileFor(platform)
	packed, err := built.ReadFile("built/" + file)
	if err != nil {
		return Program{}, false
	}
	p, err := read(platform, packed)
	return p, err == nil
}

// fileFor returns the name of the file, and the platform that it is for; empty if
// there is none.
func fileFor(platform string) (file, built string) {
	parts := strings.SplitN(platform, "/", 3)
	if len(parts) < 2 || len(parts) == 3 && parts[1] == "arm" && parts[2] < "v7" {
		return "", ""
	}
	built = parts[0] + "/" + parts[1]
	if !slices.Contains(Platforms(), built) {
		return "", ""
	}
	return FileName(built), built
}

func read(platform string, packed []byte) (Program, error) {
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return Program{}, err
	}
	if unpacked.Comment == "" {
		return Program{}, errors.New("it does not tell its build")
	}
	size := binary.LittleEndian.Uint32(packed[len(packed)-4:]) // ISIZE of RFC 1952, 2.3.1
	return Program{Platform: platform, Build: unpacked.Comment, Size: int64(size), packed: packed}, nil
}

// Open returns the content of the program.
func (p Program) Open() (io.ReadCloser, error) {
	unpacked, err := gzip.NewReader(bytes.NewReader(p.packed))
	if err != nil {
		return nil, fmt.Errorf("unpack the program for %s: %w", p.Platform, err)
	}
	return unpacked, nil
}
