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
		"unix:///run/d.sock/web": {Engine: "unix+run+d.sock", Name: "web"},
		"/web":                   {Name: "/web"},
	} {
		require.Equal(t, want, ParseRef(text), text)
	}
	for _, full := range []Ref{Host, {Engine: "lab", Name: "web"}, {Engine: "lab", Name: "host"}, {Engine: "tcp+h+1", Name: "a.b"}} {
		require.Equal(t, full, ParseRef(full.Long()))
		require.True(t, ParseRef(full.Long()).Means(full))
		require.True(t, ParseRef(full.String()).Means(full), "%s", full)
	}
	require.False(t, Host.Means(Ref{Engine: "lab", Name: "host"}), "a container of that name has another")
	require.False(t, ParseRef("lab/web").Means(Ref{Engine: "other", Name: "web"}))
}

func TestAnEngineHasAnIDThatFitsIntoURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"lab":                            "lab",
		"default":                        "default",
		"unix:///run/user/1/d.sock":      "unix+run+user+1+d.sock",
		"tcp://h:2375":                   "tcp+h+2375",
		"tcp://10.0.0.5:2376":            "tcp+10.0.0.5+2376",
		"ssh://me@lab":                   "ssh+me+lab",
		"ssh://me:secret@lab":            "ssh+me+lab",
		"npipe:////./pipe/docker":        "npipe+.+pipe+docker",
		"unix+run+user+1+d.sock":         "unix+run+user+1+d.sock",
		"tcp://[::1]:2375/base?x=\x1b[m": "tcp++++1++2375+base+x+++m+257ddf1f",
	} {
		got := EngineID(text)
		require.Equal(t, want, got, text)
		require.Regexp(t, `^[A-Za-z0-9._+-]+$`, got)
		require.Equal(t, got, EngineID(got))
	}
	ids := map[string]string{}
	for _, text := range []string{
		"unix:///a+b/d.sock", "unix:///a/b/d.sock", "unix:///a/b%2Fd.sock",
		"unix://a/b/d.sock", "unix:///a/b/d.sock/", "unix:////a/b/d.sock", "tcp://h:2375", "tcp://h/2375", "ssh://h:2375",
		"ssh://h@2375", "ssh://a@b:22", "ssh://a/b:22",
	} {
		id := EngineID(text)
		require.Empty(t, ids[id], "%s and %s have the same id", ids[id], text)
		ids[id] = text
	}
}
