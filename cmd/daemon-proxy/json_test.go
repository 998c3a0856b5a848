package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

func TestS10JSONCannotSteerATerminal(t *testing.T) {
	t.Parallel()
	label := "\x1b[31m\x7f\u009b\u202e\u200b\u2066\U000e0001 <b>é漢😀"
	for _, indent := range []string{"", "  "} {
		var out bytes.Buffer
		require.NoError(t, printJSON(&out, map[string]string{"label": label}, indent))
		for _, r := range out.String() {
			require.True(t, r == '\n' || unicode.IsPrint(r), "%q in %q", r, out.String())
		}
		require.Contains(t, out.String(), "<b>é漢😀")
		var back map[string]string
		require.NoError(t, json.Unmarshal(out.Bytes(), &back))
		require.Equal(t, label, back["label"])
	}
}
