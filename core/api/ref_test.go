package api

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestANameMeansASandboxInBothForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Ref{
		"":                       {},
		"host":                   Host,
		"web":                    {Name: "web"},
		"container:host":         {Name: "container:host"},
		"lab/web":                {Engine: "lab", Name: "web"},
		"lab/host":               {Engine: "lab", Name: "host"},
		"lab/container:host":     {Engine: "lab", Name: "host"},
		"unix:///run/d.sock/web": {Engine: "unix:///run/d.sock", Name: "web"},
		"/web":                   {Name: "/web"},
	} {
		require.Equal(t, want, ParseRef(text), text)
	}
	for _, full := range []Ref{Host, {Engine: "lab", Name: "web"}, {Engine: "lab", Name: "host"}, {Engine: "tcp://h:1", Name: "a.b"}} {
		require.Equal(t, full, ParseRef(full.Long()))
		require.True(t, ParseRef(full.Long()).Means(full))
		require.True(t, ParseRef(full.String()).Means(full), "%s", full)
	}
	require.False(t, Host.Means(Ref{Engine: "lab", Name: "host"}), "a container of that name has another")
	require.False(t, ParseRef("lab/web").Means(Ref{Engine: "other", Name: "web"}))
}
