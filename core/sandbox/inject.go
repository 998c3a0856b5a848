package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/source"
)

// run takes the steps in their order.
func (in *injection) run() error {
	if in.ref.IsHost() {
		return in.runHost()
	}
	in.doing(api.StepInspect, "looking at %s", in.ref)
	c, err := in.s.o.Source.Inspect(in.ctx, in.ref.Name)
	if errors.Is(err, &api.Problem{Code: api.CodeSandboxMissing}) {
		in.s.engine.lose(in.ref)
		return missing(in.ref)
	}
	if err != nil {
		return err
	}
	in.c = c
	in.s.engine.see(in.ref, c)
	if err := in.s.why.notRunning(in.ref, c.State); err != nil {
		return err
	}
	if shared, err := in.runOwner(); shared || err != nil {
		return err
	}
	if len(c.Addresses) == 0 {
		return in.s.why.noAddress(in.ref)
	}
	in.did(api.StepInspect, "container runs, %s", c.Platform)

	in.doing(api.StepAdopt, "is a daemon answering on %s?", in.s.why.at(c.Addresses[0]))
	if adopted, err := in.tryAdopt(); adopted || err != nil {
		return err
	}
	in.did(api.StepAdopt, "no daemon answers on %s", in.s.why.at(c.Addresses[0]))

	if in.s.o.Config.InjectionMode == "direct" {
		err = in.useInside()
	} else {
		err = in.bring()
	}
	if err != nil {
		return err
	}
	return in.start()
}

// runOwner injects the owner of the network namespace instead, if it is shared.
func (in *injection) runOwner() (shared bool, err error) {
	if err := in.proveHost(); err != nil {
		return false, err
	}
	in.s.mu.Lock()
	owner, err := in.box.owner()
	in.s.mu.Unlock()
	if err != nil || owner.Ref == in.ref {
		return false, err
	}
	in.did(api.StepInspect, "%s uses the network of %s, and so its daemon", in.ref, owner.Ref)
	if err := in.s.Inject(in.ctx, owner.Ref, nil); err != nil {
		return true, err
	}
	now, _ := in.s.Get(owner.Ref)
	in.adopt = daemon.Info{Kind: now.Daemon.Kind, Version: now.Daemon.Version, Started: now.Daemon.StartedAt,
		Latency: time.Duration(now.Daemon.LatencyMS * float64(time.Millisecond))}
	return true, nil
}

// proveHost proves that the network which the container uses is this machine's,
// if it uses its engine's machine's.
func (in *injection) proveHost() error {
	in.s.mu.Lock()
	network, err := in.box.networkOf()
	if err != nil || !network.container.HostNetwork {
		in.s.mu.Unlock()
		return err
	}
	c := network.container
	in.s.mu.Unlock()
	err = network.onThisMachine(in.ctx, c)
	if misplaced := in.s.why.misplaced(in.ref, c, err); misplaced != nil {
		return misplaced
	}
	return err
}

// portHint is the next step where something else has the daemon's port.
const portHint = "stop that service, let it use another port, or give the built-in daemon another one: --daemon-port (daemon.port, DAEMON_PORT)"

// tryAdopt takes the daemon that answers, if one does.
func (in *injection) tryAdopt() (adopted bool, err error) {
	f, err := in.box.meet(in.ctx, in.c)
	misplaced := in.s.why.misplaced(in.ref, in.c, err)
	switch {
	case err == nil:
	case in.ctx.Err() != nil:
		return false, in.ctx.Err()
	case misplaced != nil:
		return false, misplaced
	case errors.Is(err, daemon.ErrSecret):
		return false, in.replaceStranger("the built-in daemon there had a secret that is lost")
	case errors.Is(err, daemon.ErrNoChallenge):
		return false, in.replaceStranger("the built-in daemon there is of a version that cannot prove itself")
	case errors.Is(err, daemon.ErrNotDaemon), errors.Is(err, daemon.ErrSilent):
		return false, problem(in.ref, api.CodePortTaken,
			fmt.Sprintf("port %d of %s is used by something that is not a daemon, or by one that hangs: %v", in.s.o.Config.Port, in.ref, err),
			portHint)
	default:
		return false, nil // refused or not reachable: the start will tell
	}
	in.adopt = in.box.claim(in.ctx, f)
	in.did(api.StepAdopt, "a daemon answers already (%s %s): adopted", f.Kind, f.Version)
	return true, nil
}

// useInside takes the binary that the container has: injection mode "direct".
func (in *injection) useInside() error {
	in.target = in.s.installed(false)
	in.doing(api.StepPrepare, "looking for %s in the container", in.target)
	file := in.target
	if stat, err := in.s.o.Source.Stat(in.ctx, in.c.ID, file); err == nil && stat.LinkTarget != "" {
		file = stat.LinkTarget // the image's own link; it is only read and run
	}
	content, stat, err := in.s.o.Source.CopyOut(in.ctx, in.c.ID, file)
	if errors.Is(err, fs.ErrNotExist) {
		return problem(in.ref, api.CodeBinaryMissing,
			fmt.Sprintf("injection mode \"direct\" uses the container's own %s, and %s has none", in.target, in.ref),
			"put it into the image, or use --injection-mode volume")
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", in.target, err)
	}
	defer content.Close()
	if stat.Mode.Perm()&0o111 == 0 {
		return problem(in.ref, api.CodeNotExecutable,
			fmt.Sprintf("%s in %s is not executable (mode %v)", in.target, in.ref, stat.Mode.Perm()),
			"chmod +x it in the image")
	}
	in.binary = binary{path: in.target, size: stat.Size}
	if in.binary.workDirFlag, err = streamHolds(content, workDirHelp); err != nil {
		return fmt.Errorf("read %s in the container: %w", in.target, err)
	}
	in.did(api.StepPrepare, "%s is there", in.target)
	in.tell(api.Injection{Step: api.StepCopy, State: "skipped", Detail: "direct: nothing is copied"})
	return nil
}

// bring stages the binary and copies it into the container: mode "volume".
func (in *injection) bring() error {
	in.doing(api.StepPrepare, "preparing the daemon's binary")
	b, err := in.s.choose(in.ref, in.c.Platform)
	if err != nil {
		return err
	}
	err = b.fits(in.ref, in.c.Platform, func(p string) error {
		_, err := in.s.o.Source.Stat(in.ctx, in.c.ID, p)
		return err
	})
	if err != nil {
		return err
	}
	if b, err = in.s.stage(b); err != nil {
		return fmt.Errorf("stage the binary: %w", err)
	}
	in.binary = b
	kind := "static"
	if b.interp != "" {
		kind = "dynamic"
	}
	in.did(api.StepPrepare, "%s, %s binary fits %s", b.name(), kind, b.platform)
	in.target = in.s.installed(b.builtIn)
	return in.copy()
}

// writable is the folder that the engine must be told to unpack into so that
// what lies in dir can be written: the root, or the volume that dir is on, for
// the engine looks no further than that folder when it asks whether it may
// write. Empty, and why, if it cannot be: a tmpfs is not seen from outside.
func (in *injection) writable(dir string) (base, why string) {
	var over *source.Mount
	for i, m := range in.c.Mounts {
		under := dir == m.Destination || strings.HasPrefix(dir, strings.TrimSuffix(m.Destination, "/")+"/")
		if under && (over == nil || len(m.Destination) > len(over.Destination)) {
			over = &in.c.Mounts[i]
		}
	}
	switch {
	case over != nil && over.Type == "tmpfs":
		return "", fmt.Sprintf("%s is a tmpfs, which the engine cannot copy to", over.Destination)
	case over != nil && !over.Writable:
		return "", fmt.Sprintf("%s is mounted read-only", over.Destination)
	case over != nil:
		return over.Destination, ""
	case in.c.ReadOnlyRoot:
		return "", "its root is read-only"
	}
	return "/", ""
}

// within is the name of a path in a tar that is unpacked in base.
func within(base, path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, base), "/")
}
