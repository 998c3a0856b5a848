package sandbox

import (
	"context"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
)

// What this program has put into a container may be of another build, since this
// program was replaced in the meantime. It is used, and replaced when a daemon is
// injected, or when it is found for the first time. Later changes are those of
// another program that runs beside this one, and are not undone unasked: two
// programs that replace each other's daemon would serve no requests.

// otherBuild reports whether the built-in daemon f, which answers in c, or the bridge
// to it is of another build than what would be copied into c now.
func (r route) otherBuild(f daemon.Info) (itsDaemon, itsBridge bool) {
	if r.chosen() == api.ViaHelper || r.set.mustHelp() != "" {
		return false, false // nothing is put into it
	}
	job := r.set.job(r.Ref, r.c)
	r.set.mu.Lock()
	way := r.bridge
	r.set.mu.Unlock()
	build, bridged := "", false
	if way != nil {
		build, bridged = way.Build()
	}
	builtIn := f.Kind == daemon.KindBuiltIn && job.UsesBuiltIn()
	if !builtIn && !bridged {
		return false, false
	}
	want, err := job.BuiltIn()
	if err != nil {
		return false, false
	}
	return builtIn && f.Build != want.Build, bridged && build != want.Build
}

// renewWithin bounds the wait for the end of a daemon that is replaced.
const renewWithin = 10 * time.Second

// shutDown ends the built-in daemon of r, which has proved that it is ours, and
// waits until its port is free. What is under way in it gets a few seconds.
func (r route) shutDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewWithin)
	defer cancel()
	r.set.mu.Lock()
	way := r.proof.reach()
	r.set.mu.Unlock()
	client := daemon.NewClient(way, r.set.o.Config.Port, r.set.keys.secret(r.c.ID))
	if err := client.Shutdown(ctx); err != nil {
		return err
	}
	for {
		conn, err := client.Open(ctx)
		switch {
		case isRefused(err):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			conn.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(portPoll):
		}
	}
}

// portPoll is how often the port of a daemon that ends is tried.
const portPoll = 20 * time.Millisecond
