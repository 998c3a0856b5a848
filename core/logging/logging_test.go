package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const pythonFormat = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"

// written is what was logged.
type written struct {
	*Output
	bytes.Buffer
}

// String is all of it.
func (w *written) String() string {
	w.Flush()
	return w.Buffer.String()
}

func newLogger(t *testing.T, o Options) (*slog.Logger, *written) {
	t.Helper()
	var out written
	o.Stderr = &out.Buffer
	logger, output, err := New(o)
	require.NoError(t, err)
	out.Output = output
	t.Cleanup(func() { assert.NoError(t, output.Close()) })
	return logger, &out
}

func TestPythonFormatWritesWhatPythonWrites(t *testing.T) {
	logger, out := newLogger(t, Options{Format: pythonFormat})
	logger.Error("it broke", "sandbox", "web", "error", errors.New("no such file"), "port", 80)
	assert.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - daemon-proxy - ERROR - it broke sandbox=web error="no such file" port=80\n$`, out.String())
}

func TestPythonDirectives(t *testing.T) {
	logger, out := newLogger(t, Options{Level: "DEBUG",
		Format: "[%(levelname)-8s] 100%% %(lineno)d %(levelno)03d %(filename)s %(funcName)s %(msecs)03d|%(message).3s"})
	logger.With("a", 1).WithGroup("g").Warn("message", "b", 2)
	assert.Regexp(t, `^\[WARNING \] 100% \d+ 030 logging_test.go TestPythonDirectives \d{3}\|mes\n$`, out.String())
}

func TestPythonAppendsAttributesOfWithAndGroups(t *testing.T) {
	logger, out := newLogger(t, Options{Format: "%(message)s"})
	logger.With("a", 1).WithGroup("g").Info("m", slog.Int("b", 2), slog.Group("h", slog.String("c", "")))
	assert.Equal(t, "m a=1 g.b=2 g.h.c=\"\"\n", out.String())
}

func TestBadFormatsAndLevelsAreNamed(t *testing.T) {
	for _, c := range []struct{ level, format, says string }{
		{"LOUD", "text", `"LOUD"`},
		{"INFO", "xml", `"xml"`},
		{"INFO", "%(nothing)s", `"nothing"`},
		{"INFO", "%(message)s %d", `"%d"`},
		{"INFO", "%(message)", `"%(message)"`},
	} {
		_, _, err := New(Options{Level: c.level, Format: c.format})
		require.ErrorContains(t, err, c.says)
	}
}

func TestLevelsHoldBackWhatIsBelow(t *testing.T) {
	logger, out := newLogger(t, Options{Level: "WARNING", Format: "%(levelname)s"})
	logger.Info("no")
	logger.Warn("yes")
	logger.Log(t.Context(), LevelCritical, "yes")
	assert.Equal(t, "WARNING\nCRITICAL\n", out.String())
}

func TestS10EveryRecordIsOneLineWithoutControlCharacters(t *testing.T) {
	evil := "a\x1b]52;c;eA==\x07b\r\nERROR \u202ec\u009b31m\xff"
	for _, format := range []string{"text", "json", pythonFormat} {
		logger, out := newLogger(t, Options{Format: format})
		logger.With("with", evil).Info(evil, "value", evil, "error", errors.New(evil), "list", []string{evil})
		line, rest, _ := strings.Cut(out.String(), "\n")
		assert.Empty(t, rest, format)
		for _, r := range line {
			assert.True(t, unicode.IsPrint(r), "%s: %q in %q", format, r, line)
		}
		if format == "json" {
			assert.True(t, json.Valid([]byte(line)))
		}
	}
}

func TestFileIsPrivateAndRotates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "logs", "x.log")
	logger, closer, err := New(Options{File: file, MaxSizeMB: 1, MaxBackups: 1, Format: "text"})
	require.NoError(t, err)
	for range 1100 {
		logger.Info(strings.Repeat("x", 1000))
	}
	require.NoError(t, closer.Close())
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	assert.Less(t, info.Size(), int64(1<<20))
	folder, err := os.Stat(filepath.Dir(file))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), folder.Mode().Perm())
	files, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	assert.Len(t, files, 2)
}

func TestUnwritableFolderIsAWarning(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	logger, out := newLogger(t, Options{File: filepath.Join(blocked, "logs", "x.log")})
	logger.Info("still here")
	assert.Contains(t, out.String(), "level=WARNING")
	assert.Contains(t, out.String(), "still here")
}

func TestS11MaskQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":                               "",
		"q=test&x=1":                     "q=test&x=1",
		"token=abc":                      "token=***",
		"a=1&Access_Token=abc&b=2":       "a=1&Access_Token=***&b=2",
		"a=1;password=x;b":               "a=1;password=***;b",
		"%74oken=abc&z":                  "%74oken=***&z",
		"token=&key":                     "token=&key",
		"next=%2Ftree%3Ftoken%3Dabc&a=b": "next=***&a=b",
		"%zz=1&&=&=x":                    "%zz=1&&=&=x",
		"state=1&estate=2":               "state=***&estate=2",
	} {
		assert.Equal(t, want, MaskQuery(query), query)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { MaskQuery("q=some+words&page=2&sort=name") }))
}

func TestS11MaskTarget(t *testing.T) {
	const token = "aabcdefghijklmnopqrstuvwxyz23456"
	for target, want := range map[string]string{
		"/x?q=1":                             "/x?q=1",
		"/x?":                                "/x?",
		"/preview/k3vabcdefgh/app.js?code=1": "/preview/k3v…/app.js?code=***",
		"//preview/k3vabcdefgh/ws":           "//preview/k3v…/ws",
		"/preview/k3vabcdefgh":               "/preview/k3v…",
		"/api/preview/k3vabcdefghijkl":       "/api/preview/k3v…",
		"/api/preview/stats":                 "/api/preview/stats",
		"/api/preview/abcdefghij":            "/api/preview/abcdefghij",

		"/vnc.html?path=preview/" + token + "/websockify":            "/vnc.html?path=preview/aab…/websockify",
		"/vnc.html?path=preview%2F" + token + "%2fwebsockify&code=1": "/vnc.html?path=preview%2Faab…%2fwebsockify&code=***",
		"/%70review/" + token + "/x":                                 "/%70review/aab…/x",
		"/" + token + "/" + token:                                    "/aab…/aab…",
		"/go?to=http://" + token + ".localhost:8080/" + token[1:]:    "/go?to=http://aab….localhost:8080/" + token[1:],
		"/thisisaverylongpathsegmentoflettersonly/" + token:          "/thisisaverylongpathsegmentoflettersonly/aab…",
		"/" + strings.Repeat("x", 32) + "/":                          "/xxx…/",
		"/go?to=%2fpreview%2f" + strings.Repeat("x", 32) + "%252fa":  "/go?to=%2fpreview%2fx…%252fa",
		"/" + strings.Repeat("A", 40) + "/" + token[:31]:             "/" + strings.Repeat("A", 40) + "/" + token[:31],

		"/" + strings.ToUpper(token) + "/x":                                         "/AAB…/x",
		"/go?to=preview%2F" + strings.ToUpper(token):                                "/go?to=preview%2FA…",
		"/go?a=%1b%0a%20&to=%61" + token[1:16] + escaped(token[16:17]) + token[17:]: "/go?a=%1b%0a%20&to=aab…",
		"/daemon/status?sandbox=" + escaped(token):                                  "/daemon/status?sandbox=aab…",
		"/go?to=" + strings.ReplaceAll(escaped(token), "%", "%25"):                  "/go?to=aab…",
		"/%" + token + "/100%/%zz":                                                  "/%aab…/100%/%zz",
	} {
		assert.Equal(t, want, MaskTarget(target), target)
	}
}

// escaped is s with every byte percent-encoded.
func escaped(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

func TestS11S44NoTokenIsInTheLog(t *testing.T) {
	t.Parallel()
	const token = "aabcdefghijklmnopqrstuvwxyz23456"
	for _, format := range []string{"text", "json", pythonFormat} {
		logger, out := newLogger(t, Options{Format: format})
		logger.With("with", token).Warn("Request: "+token+" /", "sandbox", token, "error", errors.New("no "+token), "host", strings.ToUpper(token))
		assert.NotContains(t, strings.ToLower(out.String()), token[:4], format)
		assert.Contains(t, out.String(), "aab…", format)
	}
}

func TestS44ALongTargetIsCutInTheLog(t *testing.T) {
	t.Parallel()
	const token = "aabcdefghijklmnopqrstuvwxyz23456"
	long := ShownTarget("/" + strings.Repeat("long/", 200_000))
	assert.Less(t, len(long), 2<<10+100)
	assert.Contains(t, long, "… (1000001 bytes)")
	for before := longestTarget - 40; before <= longestTarget; before++ { // a token at each place of the cut
		shown := ShownTarget("/" + strings.Repeat("/", before) + token + "/" + strings.Repeat("x/", 10_000))
		assert.NotContains(t, shown, token[:4])
	}
	assert.Equal(t, "GET", ShownMethod("GET"))
	assert.LessOrEqual(t, len(ShownMethod(strings.Repeat("M", 900<<10))), longestMethod+len("…"))
	logger, out := newLogger(t, Options{})
	logger.Info("a long attribute", "sandbox", strings.Repeat("x y ", 500_000))
	assert.Less(t, len(out.String()), longestText+1000)
}

func FuzzMaskQuery(f *testing.F) {
	f.Add("a=1&token=geheim&b=2")
	f.Add("t%6fken=geheim;x")
	f.Fuzz(func(t *testing.T, query string) {
		masked := MaskQuery(query)
		if MaskQuery(masked) != masked {
			t.Fatalf("%q: masking twice gives something else", query)
		}
		both := MaskQuery(query + "&token=geheim-geheim")
		if strings.Contains(both, "geheim-geheim") {
			t.Fatalf("%q lets a secret through: %q", query, both)
		}
	})
}

func BenchmarkMaskTarget(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		MaskTarget("/assets/app-3f2a.js?v=12&lang=en&theme=dark")
	}
}
