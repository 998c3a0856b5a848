package engine

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
)

// Container is one container. List fills the fields up to Mounts, Inspect all.
type Container struct {
	// ID has 64 hexadecimal digits.
	ID string
	// Name has no leading slash; the first 12 digits of ID where the engine has none.
	Name string
	// Image is as the container was created with: a name, or an id.
	Image string
	// ImageID is "sha256:…".
	ImageID string
	// State is one of the api.Container… states, never "missing".
	State string
	// Platform is os/arch[/variant], e.g. "linux/amd64". List knows it only
	// of images that were inspected before; else it is empty.
	Platform string
	// PlatformAssumed says that the image is gone or says nothing, and that
	// Platform is the engine's own.
	PlatformAssumed bool
	// Addresses are those of its own networks: IPv4 before IPv6, the network
	// "bridge" before others, then by the networks' names. Empty unless it
	// runs, and for a network namespace that is not its own.
	Addresses []string
	// NetworkMode is as in `docker run --network`.
	NetworkMode string
	// HostNetwork says that it uses the machine's network namespace.
	HostNetwork bool
	// SharesNetworkOf is the id of the container whose network namespace it uses.
	SharesNetworkOf string
	// Infra says that Podman made it only to hold the network of a pod.
	Infra     bool
	Labels    map[string]string
	Mounts    []Mount
	CreatedAt time.Time

	// ExitCode and OOMKilled are of the last run, once it ended. ExitCode is
	// nil before that, and where the engine does not say.
	ExitCode  *int
	OOMKilled bool
	// Error is why the engine could not start it, in the engine's words.
	Error string
	// StartedAt and FinishedAt are of the last run; zero before it.
	StartedAt, FinishedAt time.Time
	// Pid is of the main process, as the engine's machine counts; 0 unless it runs.
	Pid int
	// RestartCount counts the restarts by its restart policy.
	RestartCount int
	ReadOnlyRoot bool
	// WorkingDir, User and Env are the image's and the container's settings
	// together. Env is as KEY=VALUE.
	WorkingDir, User string
	Env              []string
	// Tty says that its output is one raw stream.
	Tty bool
}

// Running says whether processes in it run or could run at once: not so when
// paused, restarting or ended.
func (c Container) Running() bool { return c.State == api.ContainerRunning }

// Mount is a volume, a bind or a tmpfs in a container.
type Mount struct {
	// Type is "volume", "bind", "tmpfs", "npipe", "cluster" or "image".
	Type string
	// Name is the volume's; Source is on the engine's machine.
	Name, Source string
	// Destination is in the container.
	Destination string
	Writable    bool
}

// List is all containers in any state, in one call, sorted by name.
func (e *Engine) List(ctx context.Context) ([]Container, error) {
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
	list := make([]Container, 0, len(summaries))
	for _, s := range summaries {
		c := Container{
			ID: s.ID, Name: nameOf(s.ID, s.Names), Image: s.Image, ImageID: s.ImageID, State: stateOf(s.State),
			Platform: e.knownPlatform(s.ImageID), Labels: s.Labels, Mounts: mountsOf(s.Mounts), CreatedAt: time.Unix(s.Created, 0),
			ExitCode: exitCodeOf(s.Status),
		}
		var networks map[string]*network.EndpointSettings
		if s.NetworkSettings != nil {
			networks = s.NetworkSettings.Networks
		}
		c.setNetwork(s.HostConfig.NetworkMode, networks)
		c.Infra = e.libpod.Load() && infraName.MatchString(c.Name)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Container) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

// Inspect is one container, by its whole name, its id or at least 12 digits of
// the id. A shorter piece of an id, which the engine itself would take, is a
// name here: asking for "db" must never find some other container whose id
// begins so. The error is an *api.Problem of code sandbox_missing if there is none.
func (e *Engine) Inspect(ctx context.Context, nameOrID string) (Container, error) {
	if err := e.begin(ctx, nameOrID); err != nil {
		return Container{}, err
	}
	info, err := e.cli.ContainerInspect(ctx, nameOrID)
	if err != nil {
		return Container{}, e.fail("inspect", nameOrID, err)
	}
	if info.ContainerJSONBase == nil {
		return Container{}, missing(nameOrID, nil)
	}
	byID := len(nameOrID) >= 12 && strings.HasPrefix(info.ID, nameOrID)
	if name := strings.TrimPrefix(info.Name, "/"); name != nameOrID && !byID {
		return Container{}, missing(nameOrID, nil)
	}
	c := fromInspect(info)
	if e.libpod.Load() {
		e.modes.set(c.ID, c.NetworkMode)
		c.Infra = infraName.MatchString(c.Name)
	}
	c.Platform, c.PlatformAssumed = e.platform(ctx, info)
	return c, nil
}

func fromInspect(info container.InspectResponse) Container {
	c := Container{
		ID: info.ID, Name: nameOf(info.ID, []string{info.Name}), ImageID: info.Image, Mounts: mountsOf(info.Mounts),
		CreatedAt: parseTime(info.Created), RestartCount: info.RestartCount,
	}
	if s := info.State; s != nil {
		c.State, c.OOMKilled, c.Error, c.Pid = stateOf(s.Status), s.OOMKilled, s.Error, s.Pid
		if c.State == api.ContainerExited {
			c.ExitCode = &s.ExitCode
		}
		c.StartedAt, c.FinishedAt = parseTime(s.StartedAt), parseTime(s.FinishedAt)
	}
	if cfg := info.Config; cfg != nil {
		c.Image, c.Labels, c.WorkingDir, c.User, c.Env, c.Tty = cfg.Image, cfg.Labels, cfg.WorkingDir, cfg.User, cfg.Env, cfg.Tty
	}
	var networks map[string]*network.EndpointSettings
	if info.NetworkSettings != nil {
		networks = info.NetworkSettings.Networks
	}
	if hc := info.HostConfig; hc != nil {
		c.ReadOnlyRoot = hc.ReadonlyRootfs
		for path, options := range hc.Tmpfs { // `--tmpfs` is not among the mounts
			c.Mounts = append(c.Mounts, Mount{Type: "tmpfs", Destination: path, Writable: !slices.Contains(strings.Split(options, ","), "ro")})
		}
		slices.SortFunc(c.Mounts, func(a, b Mount) int { return cmp.Compare(a.Destination, b.Destination) })
		c.setNetwork(string(hc.NetworkMode), networks)
	}
	return c
}

// setNetwork reads whose network namespace the container uses, and its addresses.
func (c *Container) setNetwork(mode string, networks map[string]*network.EndpointSettings) {
	c.NetworkMode = mode
	c.HostNetwork = mode == "host"
	c.SharesNetworkOf, _ = strings.CutPrefix(mode, "container:")
	if !strings.HasPrefix(mode, "container:") {
		c.SharesNetworkOf = ""
	}
	c.Addresses = nil
	if c.SharesNetworkOf == "" { // Podman reports the owner's addresses for it
		c.Addresses = addressesOf(networks)
	}
}

// addressesOf sorts by what is most likely to be dialled: see Container.Addresses.
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

// nameOf is the container's own name: one without a second slash, which marks
// the alias of a link.
func nameOf(id string, names []string) string {
	for _, name := range names {
		if name = strings.TrimPrefix(name, "/"); name != "" && !strings.Contains(name, "/") {
			return name
		}
	}
	return id[:min(12, len(id))]
}

// stateOf keeps the engine's word, but for the short "removing" and for those
// that only Podman has.
func stateOf(status string) string {
	if known, ok := libpodStates[status]; ok {
		return known
	}
	if status == container.StateRemoving {
		return api.ContainerDead
	}
	return status
}

// exitCodeOf reads the words of a list: "Exited (137) 3 minutes ago".
func exitCodeOf(status string) *int {
	var code int
	if _, err := fmt.Sscanf(status, "Exited (%d)", &code); err != nil {
		return nil
	}
	return &code
}

func mountsOf(points []container.MountPoint) []Mount {
	var mounts []Mount
	for _, p := range points {
		mounts = append(mounts, Mount{Type: string(p.Type), Name: p.Name, Source: p.Source, Destination: p.Destination, Writable: p.RW})
	}
	return mounts
}

// parseTime reads the engine's time; its "never" is the zero time.
func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}
