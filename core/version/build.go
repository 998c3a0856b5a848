package version

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"sync"
)

// Build returns the SHA-256, in hexadecimal digits, of the file that this process
// runs, even if the file was replaced since. Two builds of the same version may
// differ in it. It is empty if the system does not give the file.
var Build = sync.OnceValue(func() string {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return ""
	}
	defer f.Close()
	sum, err := Sum(f)
	if err != nil {
		return ""
	}
	return sum
})

// Sum returns what Build is of a program with this content.
func Sum(program io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, program); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
