package logging

import (
	"strings"
	"testing"

	"daemon-proxy/core/logging/lineartest"
)

func TestS43WorkOnForeignTextIsLinear(t *testing.T) {
	t.Parallel()
	const token = "aabcdefghijklmnopqrstuvwxyz23456"
	for name, work := range map[string]func(string){
		"MaskTokens":  func(s string) { MaskTokens(s) },
		"MaskTarget":  func(s string) { MaskTarget(s) },
		"MaskQuery":   func(s string) { MaskQuery(s) },
		"MaskBody":    func(s string) { MaskBody("application/json", []byte(s), "x") },
		"forms":       func(s string) { MaskBody("application/x-www-form-urlencoded", []byte(s), "x") },
		"parts":       func(s string) { MaskBody("multipart/form-data; boundary=a", []byte(s), "x") },
		"type":        func(s string) { MaskBody("multipart/form-data; boundary=a; "+s, []byte("{}"), "x") },
		"SecretName":  func(s string) { SecretName(s) },
		"Printable":   func(s string) { Printable(s) },
		"ShownTarget": func(s string) { ShownTarget(s) },
		"shown":       func(s string) { shown(s) },
		"LastLines":   func(s string) { LastLines([]byte(s), 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, unit := range []string{
				token + "/", "/" + token[:31], "%61", "%" + token, "?&=", "token=a&", `"`, `\`, `{"token":{`, `"token":"`, " ", "aB-", "\xff",
				"--a\r\nContent-Disposition: form-data; a*0=b; ", "a*1=b;",
			} {
				lineartest.Run(t, "/x?", unit, "", work)
			}
		})
	}
	lineartest.Run(t, strings.Repeat("a=1&", 1000), "token=", "&", func(s string) { MaskQuery(s) })
}
