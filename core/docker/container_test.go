package docker

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestAddressesAreInAStableOrder(t *testing.T) {
	t.Parallel()
	networks := map[string]*network.EndpointSettings{
		"alpha":  {IPAddress: "10.1.0.2", GlobalIPv6Address: "fd00:1::2"},
		"bridge": {IPAddress: "172.17.0.2", GlobalIPv6Address: "fd00:2::2"},
		"zeta":   {IPAddress: "10.0.0.2"},
		"v6only": {GlobalIPv6Address: "fd00:3::2"},
		"left":   {},
		"nil":    nil,
		"odd":    {IPAddress: "not an address"},
	}
	want := []string{"172.17.0.2", "10.1.0.2", "10.0.0.2", "fd00:2::2", "fd00:1::2", "fd00:3::2"}
	for range 50 { // maps change their order
		require.Equal(t, want, addressesOf(networks))
	}
	require.Empty(t, addressesOf(nil))
}

func TestFiveHundredContainersAreListedInOneCall(t *testing.T) {
	t.Parallel()
	var summaries []container.Summary
	for i := range 500 {
		names := []string{fmt.Sprintf("/web/alias%d", i), fmt.Sprintf("/box-%03d", 499-i)}
		s := container.Summary{ID: fmt.Sprintf("%064d", i), Names: names, State: "running"}
		s.HostConfig.NetworkMode = "bridge"
		summaries = append(summaries, s)
	}
	summaries[7].Names, summaries[7].State = nil, "removing" // on its way out
	var calls atomic.Int64
	e := fakeAPI{routes: map[string]http.HandlerFunc{"GET /containers/json": func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		require.Equal(t, "1", r.URL.Query().Get("all"))
		answer(summaries)(w, r)
	}}}.serve(t)
	list, err := e.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 500)
	require.EqualValues(t, 1, calls.Load())
	require.Equal(t, "000000000000", list[0].Name)
	require.Equal(t, api.ContainerDead, list[0].State)
	require.Equal(t, "box-000", list[1].Name)
	require.Equal(t, "box-499", list[499].Name)
}

func TestTheExitCodeInAList(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]int{"Exited (137) 3 minutes ago": 137, "Exited (0) Less than a second ago": 0} {
		require.Equal(t, want, *exitCodeOf(status))
	}
	for _, status := range []string{"", "Up 2 hours", "Created", "Exited", "Restarting (1) 4 seconds ago"} {
		require.Nil(t, exitCodeOf(status), status)
	}
}

func TestShortPiecesOfIDsAreNamesNotIDs(t *testing.T) {
	t.Parallel()
	id := "db00000000004bcd000000000000000000000000000000000000000000000000"
	base := container.ContainerJSONBase{ID: id, Name: "/other", State: &container.State{Status: "running"}}
	info := container.InspectResponse{ContainerJSONBase: &base}
	routes := map[string]http.HandlerFunc{}
	for _, asked := range []string{"db", id[:11], id[:12], id, "other"} { // the engine finds it by any of these
		routes["GET /containers/"+asked+"/json"] = answer(info)
	}
	e := fakeAPI{routes: routes}.serve(t)
	for asked, found := range map[string]bool{"db": false, id[:11]: false, id[:12]: true, id: true, "other": true} {
		c, err := e.Inspect(t.Context(), asked)
		if !found {
			require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxMissing}, asked)
			require.ErrorContains(t, err, fmt.Sprintf("%q", asked))
			continue
		}
		require.NoError(t, err, asked)
		require.Equal(t, id, c.ID)
	}
}

func TestPlatformIsTheImagesElseTheEngines(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	routes := map[string]http.HandlerFunc{
		"GET /images/sha256:arm/json": func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			answer(map[string]string{"Os": "linux", "Architecture": "arm", "Variant": "v7"})(w, r)
		},
		"GET /images/sha256:says-nothing/json": answer(map[string]string{}),
	}
	add := func(name, image string, descriptor *ocispec.Descriptor) {
		routes["GET /containers/"+name+"/json"] = answer(container.InspectResponse{
			ContainerJSONBase:       &container.ContainerJSONBase{ID: name, Name: "/" + name, Image: image, Platform: "linux"},
			ImageManifestDescriptor: descriptor,
		})
	}
	add("arm", "sha256:arm", nil)
	add("gone", "sha256:gone", nil)
	add("mute", "sha256:says-nothing", nil)
	arm64 := ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	add("multi", "sha256:arm", &ocispec.Descriptor{Platform: &arm64})
	e := fakeAPI{routes: routes}.serve(t)
	for _, c := range []struct {
		name, platform string
	}{
		{"arm", "linux/arm/v7"}, {"arm", "linux/arm/v7"}, {"gone", "linux/riscv64"}, {"mute", "linux/riscv64"},
		{"multi", "linux/arm64"},
	} {
		got, err := e.Inspect(t.Context(), c.name)
		require.NoError(t, err)
		require.Equal(t, c.platform, got.Platform, c.name)
	}
	require.EqualValues(t, 1, asked.Load(), "asked once per image")
}

func TestTimesOfTheEngineThatMeanNeverAreZero(t *testing.T) {
	t.Parallel()
	require.True(t, parseTime("0001-01-01T00:00:00Z").IsZero())
	require.True(t, parseTime("").IsZero())
	require.Equal(t, time.Date(2026, 5, 1, 2, 3, 4, 5000, time.UTC), parseTime("2026-05-01T02:03:04.000005Z").UTC())
}
