package logging

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestS11SecretsHaveNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"password", "Password", "userPassword", "password_hash", "token", "access_token", "accessToken", "ACCESS-TOKEN", "csrfmiddlewaretoken", "X-CSRFToken", "api_key", "apiKey", "APIKey",
		"x-goog-api-key", "client_secret", "secrets", "credentials", "PHPSESSID", "jsessionid", "session", "cookies", "auth", "sig", "X-Hub-Signature-256", "pin", "jwt", "private key", "bearer", "user[password]"} {
		require.True(t, SecretName(name), name)
	}
	for _, name := range []string{"", "key", "code", "state", "max_tokens", "prompt_tokens_details", "X-Ratelimit-Tokens-Remaining", "tokenizer", "secretary", "author", "spin", "pinned", "signal", "bypass", "keyboard", "Sec-WebSocket-Key"} {
		require.False(t, SecretName(name), name)
	}
}

func TestS11MaskBody(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		``: ``, `hello "world": "x"`: `hello "world": "x"`, `{"a":1}`: `{"a":1}`,
		`{"user":"anna","password":"hush"}`:                    `{"user":"anna","password":"***"}`,
		`{ "password" : "hu\"sh" , "a" : 1 }`:                  `{ "password" : "***" , "a" : 1 }`,
		`{"pass\u0077ord":"hush","token":null}`:                `{"pass\u0077ord":"***","token":null}`,
		`{"pin":1234,"otp":1.5e3}`:                             `{"pin":"***","otp":"***"}`,
		`[{"secrets":["hush",{"a":"]hush"}],"b":[1]},2]`:       `[{"secrets":"***","b":[1]},2]`,
		`{"token":"hush`:                                       `{"token":"***"`,
		`{"session":{"id":"hush","more":"hush`:                 `{"session":"***"`,
		`{"a":"x\"","token":"hush"}`:                           `{"a":"x\"","token":"***"}`,
		"{\"token\":\"hush\"}\n{\"a\":1}\n{\"token\":\"hush\"": "{\"token\":\"***\"}\n{\"a\":1}\n{\"token\":\"***\"",
		"data: {\"token\":\"hush\nnext":                        "data: {\"token\":\"***\"\nnext",
		`{"token":}`:                                           `{"token":}`, `{"token":`: `{"token":`, `{"token"`: `{"token"`, `"`: `"`,
		`{"password":"hush" oops}`:            `{"password":"***" oops}`,
		`window.x = {"token": f(), "b": "c"}`: `window.x = {"token": "***", "b": "c"}`,
		"\xff\x00\"token\":\"hush\"\xfe":      "\xff\x00\"token\":\"***\"\xfe",
	} {
		require.Equal(t, want, string(MaskBody("application/json", []byte(raw), "***")), raw)
	}
	require.Equal(t, "user=anna&pass%77ord=***&code=***&key=x&keyword=y&empty=&token=",
		string(MaskBody("application/x-www-form-urlencoded", []byte("user=anna&pass%77ord=hush&code=hush&key=x&keyword=y&empty=&token="), "***")))
}

func TestS11MaskMultipartForm(t *testing.T) {
	t.Parallel()
	form := func(password, token string) string {
		return "--x1\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nanna\r\n" +
			"--x1\r\ncontent-disposition: form-data; name=\"Password\"\r\n\r\n" + password + "\r\n" +
			"--x1\r\nContent-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/json\r\n\r\n{\"token\":\"" + token + "\"}\r\n"
	}
	end := "--x1\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; filename=\"a.pem\"; name=private_key\r\n\r\n"
	mask := func(raw string) string {
		return string(MaskBody(`Multipart/form-data; boundary="x1"`, []byte(raw), "***"))
	}
	whole := form("hush\r\nhush", "hush") + end
	require.Equal(t, form("***", "***")+end+"***\r\n--x1--\r\n", mask(whole+"hush\r\n\r\nhush\r\n--x1--\r\n"))
	require.Equal(t, form("***", "***")+end+"***", mask(whole+"hu"), "it is cut")
	const odd = "--x1 \r\nContent-Disposition: form-data; name=\"password\"; filename=my key.txt\r\n\r\n"
	require.Equal(t, odd+"***\r\n--x1--", mask(odd+"hush\r\n--x1--"), "what cannot be read may be one")
	require.Equal(t, "--x1\r\nContent-Disp", mask("--x1\r\nContent-Disp"))
}

func FuzzMaskBody(f *testing.F) {
	f.Add(`{"token":["a",{"b":1}],"x":"y\"","pin":12`)
	f.Add(strings.Repeat(`{"token":[`, 20))
	f.Add("--x\r\nContent-Disposition: form-data; name=token\r\n\r\nhush\r\n--x--\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		masked := MaskBody("", []byte(raw), "***")
		again := MaskBody("", masked, "***")
		require.Equal(t, string(masked), string(again), "%q", raw)
		const form = "multipart/form-data; boundary=x"
		masked = MaskBody(form, []byte(raw), "***")
		require.Equal(t, string(masked), string(MaskBody(form, masked, "***")), "%q", raw)
	})
}
