package docker

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// List returns all containers but helpers in one call; on Podman it also inspects new ones.
func (e *Engine) List(ctx context.Context) ([]source.Container, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	summaries, err := e.cli.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, e.fail("list", "containers", err)
	}
	if e.libpod.Load() {
		e.readModes(ctx, summaries)
	}
	list := make([]source.Container, 0, len(summaries))
	for _, s := range summaries {
		if isHelper(s.Labels) {
			continue
		}
		c := source.Container{
			ID: s.ID, Name: nameOf(s.ID, s.Names), Image: s.Image, State: stateOf(s.State), ExitCode: exitCodeOf(s.Status),
			Platform: e.platforms.known(s.ImageID), Labels: s.Labels, Mounts: mountsOf(s.Mounts),
		}
		var networks map[string]*network.EndpointSettings
		if s.NetworkSettings != nil {
			networks = s.NetworkSettings.Networks
		}
		setNetwork(&c, s.HostConfig.NetworkMode, networks)
		c.Infra = e.libpod.Load() && infraName.MatchString(c.Name)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b source.Container) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// Inspect returns one container. The engine would accept a short prefix of an id
// too; here it is a name, so that "db" never finds another container whose id
// begins with it.
func (e *Engine) Inspect(ctx context.Context, nameOrID string) (source.Container, error) {
	if err := e.begin(ctx, nameOrID); err != nil {
		return source.Container{}, err
	}
	info, err := e.cli.ContainerInspect(ctx, nameOrID)
	if err != nil {
		return source.Container{}, e.fail("inspect", nameOrID, err)
	}
	if info.ContainerJSONBase == nil {
		return source.Container{}, missing(nameOrID, nil)
	}
	byID := len(nameOrID) >= 12 && strings.HasPrefix(info.ID, nameOrID)
	if name := strings.TrimPrefix(info.Name, "/"); name != nameOrID && !byID {
		return source.Container{}, missing(nameOrID, nil)
	}
	c := fromInspect(info)
	if e.libpod.Load() {
		if info.HostConfig != nil {
			e.modes.set(c.ID, string(info.HostConfig.NetworkMode))
		}
		c.Infra = infraName.MatchString(c.Name)
	}
	c.Platform = e.platforms.of(ctx, info)
	return c, nil
}

func fromInspect(info container.InspectResponse) source.Container {
	c := source.Container{
		ID: info.ID, Name: nameOf(info.ID, []string{info.Name}), Mounts: mountsOf(info.Mounts),
		RestartCount: info.RestartCount,
	}
	if s := info.State; s != nil {
		c.State, c.Pid, c.StartedAt = stateOf(s.Status), s.Pid, parseTime(s.StartedAt)
		if c.State == api.ContainerExited {
			c.ExitCode = &s.ExitCode
		}
	}
	if cfg := info.Config; cfg != nil {
		c.Image, c.Labels, c.WorkingDir = cfg.Image, cfg.Labels, cfg.WorkingDir
	}
	var networks map[string]*network.EndpointSettings
	if info.NetworkSettings != nil {
		networks = info.NetworkSettings.Networks
	}
	if hc := info.HostConfig; hc != nil {
		c.ReadOnlyRoot = hc.ReadonlyRootfs
		for path, options := range hc.Tmpfs { // `--tmpfs` is not among the mounts
			writable := !slices.Contains(strings.Split(options, ","), "ro")
			c.Mounts = append(c.Mounts, source.Mount{Type: "tmpfs", Destination: path, Writable: writable})
		}
		slices.SortFunc(c.Mounts, func(a, b source.Mount) int { return cmp.Compare(a.Destination, b.Destination) })
		setNetwork(&c, string(hc.NetworkMode), networks)
	}
	return c
}

// setNetwork sets whose network namespace the container uses, and its addresses.
func setNetwork(c *source.Container, mode string, networks map[string]*network.EndpointSettings) {
	c.HostNetwork = mode == "host"
	if owner, shared := strings.CutPrefix(mode, "container:"); shared { // Podman reports the owner's addresses for it
		c.SharesNetworkOf = owner
	} else {
		c.Addresses = addressesOf(networks)
	}
}

// addressesOf returns IPv4 before IPv6, the network "bridge" before others, then
// by the networks' names.
func addressesOf(networks map[string]*network.EndpointSettings) []string {
	type entry struct {
		addr    netip.Addr
		network string
	}
	var entries []entry
	for name, settings := range networks {
		if settings == nil {
			continue
		}
		for _, text := range []string{settings.IPAddress, settings.GlobalIPv6Address} {
			if addr, err := netip.ParseAddr(text); err == nil {
				entries = append(entries, entry{addr, name})
			}
		}
	}
	rank := func(yes bool) int {
		if yes {
			return 0
		}
		return 1
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(
			cmp.Compare(rank(a.addr.Is4()), rank(b.addr.Is4())),
			cmp.Compare(rank(a.network == "bridge"), rank(b.network == "bridge")),
			cmp.Compare(a.network, b.network), a.addr.Compare(b.addr))
	})
	var addresses []string
	for _, e := range entries {
		addresses = append(addresses, e.addr.String())
	}
	return addresses
}

// nameOf returns the container's own name: a second slash marks the alias of a
// link.
func nameOf(id string, names []string) string {
	for _, name := range names {
		if name = strings.TrimPrefix(name, "/"); name != "" && !strings.Contains(name, "/") {
			return name
		}
	}
	return id[:min(12, len(id))]
}

// stateOf returns the engine's state, except for the short-lived "removing" and
// for those that only Podman has.
func stateOf(status string) string {
	if known, ok := libpodStates[status]; ok {
		return known
	}
	if status == container.StateRemoving {
		return api.ContainerDead
	}
	return status
}

// exitCodeOf reads the status of a list: "Exited (137) 3 minutes ago".
func exitCodeOf(status string) *int {
	var code int
	if _, err := fmt.Sscanf(status, "Exited (%d)", &code); err != nil {
		return nil
	}
	return &code
}

func mountsOf(points []container.MountPoint) []source.Mount {
	var mounts []source.Mount
	for _, p := range points {
		mounts = append(mounts, source.Mount{Type: string(p.Type), Destination: p.Destination, Writable: p.RW})
	}
	return mounts
}

// parseTime reads the engine's time, which writes the zero time for "never".
func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}
