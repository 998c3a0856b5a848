package server

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestADiagnosisIsSentAsItIsMade(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1", func(s *settings) { s.runKey = "the key of the run" })
	key := []string{"Content-Type: application/json", "X-API-Key: the key of the run"}
	answer := f.do("POST", "/api/doctor", "{}", "Content-Type: application/json")
	require.Equal(t, 401, answer.StatusCode, "it needs a key even with security off")
	answer = f.do("POST", "/api/doctor?sandbox=nowhere", "{}", key...)
	require.Equal(t, 404, answer.StatusCode)
	answer = f.do("POST", "/api/doctor?sandbox=web", "{}", key...)
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, "application/x-ndjson", answer.Header.Get("Content-Type"))
	lines := strings.Split(strings.TrimSpace(answer.Body), "\n")
	require.Len(t, lines, 3)
	require.JSONEq(t, `{"hop":"port","state":"loss","detail":"kept: methods","lost":["path bytes"],"duration_ms":0,"hint":"report it"}`, lines[1])
	require.Contains(t, lines[2], `"finished":true`)
}
