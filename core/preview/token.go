package preview

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// PublicID is the name of a link for logs, lists and events: the first 10
// characters of base32(SHA-256(token)), lower case. It does not give the
// token away.
func PublicID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return lowerBase32(sum[:])[:10]
}

// tokenBytes is the number of random bytes in a token: 160 bits.
const tokenBytes = 20

// newToken returns random bits as 32 characters that are a DNS label.
func newToken() string {
	var b [tokenBytes]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return lowerBase32(b[:])
}

// isToken reports whether s looks like a token, in either case.
func isToken(s string) bool {
	if len(s) != tokenBytes*8/5 {
		return false
	}
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (s[i] < '2' || s[i] > '7') {
			return false
		}
	}
	return true
}

// lowerBase32 encodes with the alphabet of RFC 4648 §6 in lower case, unpadded.
func lowerBase32(b []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}
