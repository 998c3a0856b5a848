package inspect

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsJSON(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ raw, want string }{
		{`{}`, `{}`},
		{`{"a":{"b":[]},"c":[1,2.50,"x<y",null]}`,
			"{\n  \"a\": {\n    \"b\": []\n  },\n  \"c\": [\n    1,\n    2.50,\n    \"x<y\",\n    null\n  ]\n}"},
		{`{"a":1}` + "\n" + `{"a":2}`, "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}"},
		{`{"a":"cut of`, "{\n  \"a\": "},
	} {
		got, ok := prettyJSON([]byte(test.raw))
		require.True(t, ok, test.raw)
		require.Equal(t, test.want, got)
	}
	for _, raw := range []string{"", "hello", `{"a" 1}`, `[1,2}`} {
		_, ok := prettyJSON([]byte(raw))
		require.False(t, ok, raw)
	}
	b := readBody(http.Header{"Content-Type": {"application/json"}}, []byte(`{"broken" oops}`), 15, 15)
	require.Equal(t, []string{`{"broken" oops}`}, b.lines)
	b = readBody(http.Header{"Content-Encoding": {"br"}}, nil, 15, 15)
	require.Equal(t, "packed in a way that is not read here", b.note)
	require.Contains(t, b.title(), "compressed (br)")
}
