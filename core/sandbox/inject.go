package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/engine"
)

// injection is one injection under way. Others who ask for the same join it.
type injection struct {
	s    *Sandboxes
	ref  api.Ref
	ctx  context.Context
	done chan struct{}
	err  error

	mu     sync.Mutex
	follow []func(api.Injection)
	past   []api.Injection
	step   api.InjectionStep

	c      engine.Container
	binary binary
	target string // the daemon's path in the container
	adopt  found  // what answers, once it does
}

// Inject puts a daemon into ref and starts it, or adopts the one that answers.
// It returns when the daemon is healthy. progress is told of each step, one
// call at a time; nil: nobody. A call for a sandbox that is being injected
// joins that injection. When ctx of the first caller ends, the injection is
// undone; a later caller only stops waiting. The error is an *api.Problem and
// stands in the sandbox's Daemon.LastError too.
func (s *Sandboxes) Inject(ctx context.Context, ref api.Ref, progress func(api.Injection)) error {
	s.mu.Lock()
	b := s.boxes[ref]
	if b == nil {
		s.mu.Unlock()
		return missing(ref)
	}
	if running := b.injected; running != nil {
		s.mu.Unlock()
		running.join(progress)
		select {
		case <-running.done:
			return running.err
		case <-ctx.Done():
			return asProblem(ref, ctx.Err())
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	in := &injection{s: s, ref: ref, ctx: ctx, done: make(chan struct{})}
	in.join(progress)
	b.injected, b.wanted = in, true
	s.mu.Unlock()
	s.update(ref, func(b *box) { b.Daemon.State = api.DaemonInjecting })

	started := time.Now()
	err := in.run()
	var p *api.Problem
	if err != nil {
		p = asProblem(ref, err)
		in.err = p
	}
	s.update(ref, func(b *box) {
		b.injected = nil
		if p != nil {
			b.Daemon.State, b.Daemon.LastError = api.DaemonFailed, p
			if notRunning(ref, b.Container) != nil {
				b.Daemon.State = api.DaemonStopped
			}
		}
	})
	if p == nil {
		s.alive(b, in.adopt)
		s.log.Info("daemon healthy", "sandbox", ref.String(), "version", in.adopt.version, "kind", in.adopt.kind, "duration", time.Since(started))
	} else {
		s.log.Error("injection failed", "sandbox", ref.String(), "code", p.Code, "error", p.Error(), "hint", p.Hint)
	}
	now, _ := s.Get(ref)
	in.tell(api.Injection{Step: in.step, State: map[bool]string{true: "done", false: "failed"}[p == nil], Error: p, Finished: true, Daemon: &now.Daemon})
	close(in.done)
	if p != nil {
		s.keepLater(ref)
		return p
	}
	s.keep(ref)
	return nil
}

func (in *injection) join(progress func(api.Injection)) {
	if progress == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, e := range in.past {
		progress(e)
	}
	in.follow = append(in.follow, progress)
}

// tell reports a step.
func (in *injection) tell(e api.Injection) {
	e.Sandbox = in.ref
	in.mu.Lock()
	defer in.mu.Unlock()
	in.step = e.Step
	if e.Bytes == 0 || e.State != "running" {
		in.past = append(in.past, e)
	}
	for _, f := range in.follow {
		f(e)
	}
	in.s.emit(api.Event{Kind: api.EventInjection, Injection: &e})
}

func (in *injection) doing(step api.InjectionStep, format string, args ...any) {
	in.tell(api.Injection{Step: step, State: "running", Detail: fmt.Sprintf(format, args...)})
}

func (in *injection) did(step api.InjectionStep, format string, args ...any) {
	in.tell(api.Injection{Step: step, State: "done", Detail: fmt.Sprintf(format, args...)})
}

// run takes the steps in their order.
func (in *injection) run() error {
	if in.ref.IsHost() {
		return in.runHost()
	}
	in.doing(api.StepInspect, "looking at %s", in.ref)
	c, err := in.s.o.Engine.Inspect(in.ctx, in.ref.Name)
	if err != nil {
		return err
	}
	in.c = c
	in.s.see(in.ref, c)
	if err := notRunning(in.ref, c.State); err != nil {
		return err
	}
	if shared, err := in.runOwner(); shared || err != nil {
		return err
	}
	if len(c.Addresses) == 0 {
		return noAddress(in.ref)
	}
	in.did(api.StepInspect, "container runs, %s", c.Platform)

	in.doing(api.StepAdopt, "is a daemon answering on %s:%d?", c.Addresses[0], in.s.o.Config.Port)
	if adopted, err := in.tryAdopt(); adopted || err != nil {
		return err
	}
	in.did(api.StepAdopt, "no daemon answers on %s:%d", c.Addresses[0], in.s.o.Config.Port)

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
	in.s.mu.Lock()
	owner, err := in.s.owner(in.s.boxes[in.ref])
	in.s.mu.Unlock()
	if err != nil || owner.Ref == in.ref {
		return false, err
	}
	in.did(api.StepInspect, "%s uses the network of %s, and so its daemon", in.ref, owner.Ref)
	if err := in.s.Inject(in.ctx, owner.Ref, nil); err != nil {
		return true, err
	}
	now, _ := in.s.Get(owner.Ref)
	in.adopt = found{kind: now.Daemon.Kind, version: now.Daemon.Version, latency: time.Duration(now.Daemon.LatencyMS * float64(time.Millisecond))}
	return true, nil
}

// tryAdopt takes the daemon that answers, if one does.
func (in *injection) tryAdopt() (adopted bool, err error) {
	dial := in.s.dialler(in.c.Addresses)
	f, err := probe(in.ctx, dial)
	switch {
	case err == nil:
	case errors.Is(err, errNotDaemon):
		return false, problem(in.ref, http.StatusConflict, api.CodePortTaken, "The daemon's port is taken",
			fmt.Sprintf("port %d of %s is used by something that is not a daemon: %v", in.s.o.Config.Port, in.ref, err),
			"stop that service, or let it use another port")
	default:
		return false, in.ctx.Err() // refused or not reachable: the start will tell
	}
	if f.kind == kindBuiltIn {
		err := trusts(in.ctx, dial, in.s.secretOf(in.c.ID))
		if errors.Is(err, errSecret) {
			return false, in.replaceStranger()
		}
		if err != nil {
			return false, err
		}
	}
	in.adopt = f
	in.did(api.StepAdopt, "a daemon answers already (%s %s): adopted", f.kind, f.version)
	return true, nil
}

// replaceStranger ends a built-in daemon whose secret is lost.
func (in *injection) replaceStranger() error {
	if err := in.killAll(in.ctx, "daemon-proxy"); err != nil {
		return problem(in.ref, http.StatusConflict, api.CodePortTaken, "Another daemon-proxy's daemon",
			fmt.Sprintf("a built-in daemon runs in %s whose secret is not known here", in.ref), "docker restart "+in.ref.Name)
	}
	in.did(api.StepAdopt, "the built-in daemon there had a secret that is lost: it is replaced")
	return nil
}

// killAll ends the processes of that name, with the container's own shell.
func (in *injection) killAll(ctx context.Context, name string) error {
	out, code, err := in.s.o.Engine.Run(ctx, in.c.ID, engine.ExecSpec{User: "0", Cmd: []string{"/bin/sh", "-c",
		`for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" = "$0" ] && kill -TERM ${p#/proc/} && found=1; done; [ -n "$found" ]`, name}})
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("exit code %d: %s", code, out)
	}
	return nil
}

// useInside takes the binary that the container has: injection mode "direct".
func (in *injection) useInside() error {
	in.target = path.Join(in.s.o.Config.InstallDir, "daytona")
	in.doing(api.StepPrepare, "looking for %s in the container", in.target)
	content, stat, err := in.s.o.Engine.CopyOut(in.ctx, in.c.ID, in.target)
	if errors.Is(err, fs.ErrNotExist) {
		return problem(in.ref, http.StatusUnprocessableEntity, api.CodeBinaryMissing, "No daemon in the container",
			fmt.Sprintf("injection mode \"direct\" uses the container's own %s, and %s has none", in.target, in.ref),
			"put it into the image, or use --injection-mode volume")
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", in.target, err)
	}
	defer content.Close()
	if stat.Mode.Perm()&0o111 == 0 {
		return problem(in.ref, http.StatusUnprocessableEntity, api.CodeNotExecutable, "Not executable",
			fmt.Sprintf("%s in %s is not executable (mode %v)", in.target, in.ref, stat.Mode.Perm()), "chmod +x it in the image")
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
	b, err := in.s.choose(in.ref)
	if err != nil {
		return err
	}
	err = b.fits(in.ref, in.c.Platform, func(p string) error {
		_, err := in.s.o.Engine.Stat(in.ctx, in.c.ID, p)
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
	in.target = path.Join(in.s.o.Config.InstallDir, b.name())
	return in.copy()
}

// writable is an error if the install folder cannot be written.
func (in *injection) writable(dir string) error {
	if !in.c.ReadOnlyRoot {
		return nil
	}
	for _, m := range in.c.Mounts {
		under := dir == m.Destination || strings.HasPrefix(dir, strings.TrimSuffix(m.Destination, "/")+"/")
		if under && m.Writable && m.Type != "tmpfs" {
			return nil
		}
	}
	return problem(in.ref, http.StatusUnprocessableEntity, api.CodeReadOnlyRoot, "Read-only container",
		fmt.Sprintf("the root of %s is read-only, nothing can be copied to %s", in.ref, dir),
		"set daemon.install_dir to a folder on a writable volume (a tmpfs does not do), or put the daemon into the image and use --injection-mode direct")
}
